#include "tests/inject/verdict.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace ddpm::inject {
namespace {

struct Setting {
  std::string_view paths;
  int log = -1;
  long at = 0;
  // How many calls a full disk lasts.
  long calls = LONG_MAX;
  How how = How::kNone;
  int error = 0;
};

// This file itself calls the kernel directly and not the replaced functions.
Setting read_setting() {
  Setting setting;
  const auto text_of = [](const char* name) {
    const char* value = getenv(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  setting.paths = text_of("DDPM_INJECT_PATHS");
  if (const std::string_view log = text_of("DDPM_INJECT_LOG"); !log.empty()) {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    setting.log = static_cast<int>(syscall(SYS_openat, AT_FDCWD, log.data(), kFlags, 0666));
  }
  setting.at = atol(text_of("DDPM_INJECT_AT").data());
  const std::string_view how = text_of("DDPM_INJECT_HOW");
  constexpr std::pair<std::string_view, How> kHows[] = {
      {"kill-before", How::kKillBefore}, {"kill-after", How::kKillAfter},
      {"kill-half", How::kKillHalf},     {"short", How::kShort},
      {"full-disk", How::kFullDisk},     {"full-for-a-while", How::kFullDisk}};
  for (const auto& [name, value] : kHows) {
    if (how == name) setting.how = value;
  }
  if (how == "full-for-a-while") setting.calls = 60;
  constexpr std::pair<std::string_view, int> kErrors[] = {
      {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EMFILE", EMFILE}, {"EACCES", EACCES}, {"EINTR", EINTR}};
  for (const auto& [name, value] : kErrors) {
    if (how != name) continue;
    setting.how = How::kFail;
    setting.error = value;
  }
  return setting;
}

const Setting& setting() {
  static const Setting value = read_setting();
  return value;
}

bool lies_below(std::string_view path, std::string_view folder) {
  return !folder.empty() && path.starts_with(folder) &&
         (path.size() == folder.size() || path[folder.size()] == '/');
}

bool is_counted(std::string_view path) {
  std::string_view rest = setting().paths;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    if (lies_below(path, rest.substr(0, end))) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

// The target of a link below /proc/self. Empty where there is none.
std::string link_in_proc(const std::string& name) {
  char target[PATH_MAX];
  const long length =
      syscall(SYS_readlinkat, AT_FDCWD, ("/proc/self/" + name).c_str(), target, sizeof target);
  return length > 0 ? std::string(target, static_cast<size_t>(length)) : "";
}

}  // namespace

std::string path_of(int descriptor) {
  return descriptor == AT_FDCWD ? link_in_proc("cwd")
                                : link_in_proc("fd/" + std::to_string(descriptor));
}

std::string path_of(int folder, const char* path) {
  if (path == nullptr || *path == '\0') return path_of(folder);
  return *path == '/' ? path : path_of(folder) + "/" + path;
}

std::string path_of(const char* path) { return path_of(AT_FDCWD, path); }
std::string path_of(FILE* file) { return path_of(fileno(file)); }
std::string path_of(DIR* folder) { return path_of(dirfd(folder)); }

int error_to_fail_with() { return setting().error; }

void die() {
  for (;;) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
}

How next(const char* name, const std::string& path, Need need) {
  static std::atomic<long> count = 0;
  const int before = errno;
  How how = How::kNone;
  if (is_counted(path)) {
    const long number = ++count;
    if (setting().log >= 0) {
      const std::string line = std::to_string(number) + '\t' + name + '\t' + path + '\n';
      syscall(SYS_write, setting().log, line.data(), line.size());
    }
    const bool full = setting().how == How::kFullDisk;
    const bool now = number >= setting().at && number - setting().at < setting().calls;
    if (full ? now && setting().at > 0 && need == Need::kSpace : number == setting().at) {
      how = setting().how;
    }
  }
  errno = before;
  return how;
}

}  // namespace ddpm::inject
