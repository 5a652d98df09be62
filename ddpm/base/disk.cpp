#include "ddpm/base/disk.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "ddpm/base/retry.h"

namespace ddpm {

bool is_disk_full(int code) { return code == ENOSPC || code == EDQUOT; }

std::optional<int64_t> free_disk_bytes(const std::string& folder) {
  struct statvfs disk {};
  if (retry([&] { return statvfs(folder.c_str(), &disk); }) != 0) return std::nullopt;
  // Some file systems have no fixed size and report 0 for it.
  if (disk.f_blocks == 0) return std::nullopt;
  // A part of many disks is kept for root.
  const auto blocks = static_cast<uint64_t>(geteuid() == 0 ? disk.f_bfree : disk.f_bavail);
  const auto size = static_cast<uint64_t>(std::max<unsigned long>(disk.f_frsize, 1));
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return static_cast<int64_t>(blocks > kMost / size ? kMost : blocks * size);
}

}  // namespace ddpm
