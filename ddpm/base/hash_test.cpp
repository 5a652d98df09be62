#include "ddpm/base/hash.h"

#include <gtest/gtest.h>

namespace ddpm {
namespace {

// The values that xxh128sum prints.
TEST(Hash, KnownAnswers) {
  EXPECT_EQ(hash_hex(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_hex("a"), "a96faf705af16834e6c632b61e964e1f");
}

TEST(Hash, DoesNotDependOnHowDataIsCut) {
  std::string data(5000, 'x');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 31 % 251);
  Hasher hasher;
  for (size_t i = 0; i < data.size(); i += 7) hasher.update(std::string_view(data).substr(i, 7));
  EXPECT_EQ(hasher.hex(), hash_hex(data));
}

TEST(Hash, EveryBitCounts) {
  std::string data(300, '\0');
  const std::string before = hash_hex(data);
  data[299] ^= 1;
  EXPECT_NE(hash_hex(data), before);
}

}  // namespace
}  // namespace ddpm
