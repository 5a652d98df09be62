#include "ddpm/base/disk.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/folder.h"

namespace ddpm {
namespace {

TEST(Disk, HasFreeSpace) {
  const test::TemporaryFolder folder;
  const std::optional<int64_t> free = free_disk_bytes(folder.path());
  ASSERT_TRUE(free.has_value());
  EXPECT_GT(*free, 0);
  EXPECT_EQ(free_disk_bytes(folder / "absent"), std::nullopt);
}

TEST(Disk, IsFullByTwoErrors) {
  EXPECT_TRUE(is_disk_full(ENOSPC));
  EXPECT_TRUE(is_disk_full(EDQUOT));
  EXPECT_FALSE(is_disk_full(EIO));
  // A limit on the size of files does not pass.
  EXPECT_FALSE(is_disk_full(EFBIG));
}

}  // namespace
}  // namespace ddpm
