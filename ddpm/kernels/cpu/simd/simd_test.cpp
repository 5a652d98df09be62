#include "ddpm/kernels/cpu/simd/simd.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

TEST(Simd, BaselineIsAlwaysThereAndCanBeForced) {
  const Simd before = simd();
  set_simd(Simd::kBaseline);
  EXPECT_EQ(simd(), Simd::kBaseline);
  EXPECT_STREQ(simd_name(), simd_name(Simd::kBaseline));
  set_simd(before);
}

TEST(Simd, RefusesWhatTheProcessorLacks) {
  const std::vector<Simd> supported = supported_simd();
  for (Simd target : {Simd::kAvx2, Simd::kAvx512}) {
    if (std::find(supported.begin(), supported.end(), target) != supported.end()) continue;
    const Simd before = simd();
    EXPECT_THROW(set_simd(target), UsageError) << simd_name(target);
    EXPECT_EQ(simd(), before);
  }
}

}  // namespace
}  // namespace ddpm
