#include "ddpm/base/lock.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "ddpm/base/error.h"
#include "ddpm/base/retry.h"

namespace ddpm {
namespace {

[[noreturn]] void fail_lock(const std::string& path, int error) {
  fail_system("lock", fmt::format("cannot lock {}: {}", path, std::strerror(error)), error);
}

// The text that the holder wrote about itself. Empty if it cannot be read.
std::string holder(int descriptor) {
  char text[256];
  const ssize_t got = pread(descriptor, text, sizeof text, 0);
  std::string line(text, static_cast<size_t>(got > 0 ? got : 0));
  line.resize(std::min(line.find('\n'), line.size()));
  return line;
}

}  // namespace

FolderLock::FolderLock(const std::string& folder)
    : folder_(folder), path_((std::filesystem::path(folder) / ".lock").string()) {
  while (!take()) {
  }
  write_holder();
}

// False if the file was removed between opening and locking it.
bool FolderLock::take() {
  descriptor_ =
      retry([&] { return open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666); });
  if (descriptor_ < 0) fail_lock(path_, errno);
  if (retry([&] { return flock(descriptor_, LOCK_EX | LOCK_NB); }) != 0) {
    const int error = errno;
    const std::string who = holder(descriptor_);
    close(descriptor_);
    if (error != EWOULDBLOCK) fail_lock(path_, error);
    fail_usage(
        "lock",
        fmt::format("{} is in use by {}; wait until it has ended, or stop it with Ctrl-C there",
                    folder_, who.empty() ? "another process" : who));
  }
  struct stat mine {
  }, there{};
  int error = retry([&] { return fstat(descriptor_, &mine); }) != 0 ? errno : 0;
  if (error == 0 && retry([&] { return stat(path_.c_str(), &there); }) != 0) error = errno;
  if (error == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) return true;
  close(descriptor_);
  // Trying again helps only if the file is gone.
  if (error != 0 && error != ENOENT) fail_lock(path_, error);
  return false;
}

// The text is only shown to users. Failing to write it is therefore not an error.
void FolderLock::write_holder() const {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const std::time_t now = std::time(nullptr);
  const std::string text = fmt::format("process {} on {} since {:%Y-%m-%d %H:%M:%S}\n", getpid(),
                                       host, fmt::localtime(now));
  if (ftruncate(descriptor_, 0) != 0 ||
      pwrite(descriptor_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return;
  }
}

void FolderLock::release() {
  if (descriptor_ < 0) return;
  // The file is removed while the lock is still held. Later it could belong to another process.
  const int removed = retry([&] { return unlink(path_.c_str()); });
  const int error = removed == 0 || errno == ENOENT ? 0 : errno;
  close(descriptor_);
  descriptor_ = -1;
  if (error != 0)
    fail_system("lock", fmt::format("cannot remove {}: {}", path_, std::strerror(error)), error);
}

FolderLock::~FolderLock() {
  try {
    release();
  } catch (const SystemError&) {
    // The next holder of the lock uses the file again.
  }
}

}  // namespace ddpm
