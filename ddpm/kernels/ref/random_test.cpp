#include <gtest/gtest.h>

#include <vector>

#include "ddpm/base/philox.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

TEST(RefNormal, EachRowIsItsSeedsStreamWhateverTheBatch) {
  RefBackend ref;
  Tensor batch({2, 3, 3, 3}), alone({1, 3, 3, 3});
  ref.run(op::Normal{.seeds = {5, 6}, .stream = 7, .x = batch});
  ref.run(op::Normal{.seeds = {6}, .stream = 7, .x = alone});
  std::vector<float> expected(27);
  Philox(6, 7).normal(0, 27, expected.data());
  EXPECT_EQ(batch.rows(1, 2).values(), expected);
  EXPECT_EQ(alone.values(), expected);
}

}  // namespace
}  // namespace ddpm
