// The one way to fail. Every public function of ddpm throws Error (or UsageError) and nothing else
// of its own; nothing inside ddpm/ exits, aborts or prints.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace ddpm {

// Something went wrong: a damaged file, a full disk, a shape that does not fit.
// The message reads "[where] what, which value, what would work".
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The request itself cannot work, whatever the state of the world: an unknown option value, a size
// that the network cannot take. Programs report it with exit status 2, other errors with 1.
class UsageError : public Error {
 public:
  using Error::Error;
};

// A system call failed: no space, no permission, a device that does not answer.
class SystemError : public Error {
 public:
  SystemError(const std::string& what, int code) : Error(what), code_(code) {}
  // Its errno.
  int code() const { return code_; }

 private:
  int code_;
};

// True for an errno that says nothing about the file itself (a device or a limit of the process),
// so that the same call may succeed later: no reason to go on without the file.
bool is_transient(int code);

// Throws Error("[where] what"). The text is made printable() (base/text.h), so that whatever names
// it holds, it is one line and safe to show.
[[noreturn]] void fail(std::string_view where, std::string_view what);

// Throws UsageError("[where] what"), made printable as well.
[[noreturn]] void fail_usage(std::string_view where, std::string_view what);
// Throws SystemError("[where] what"), made printable as well; code is the errno.
[[noreturn]] void fail_system(std::string_view where, std::string_view what, int code);

// Our own invariants, always on: throws Error naming the condition and its place.
#define DDPM_CHECK(condition)                             \
  do {                                                    \
    if (!(condition)) [[unlikely]]                        \
      ::ddpm::fail_check(#condition, __FILE__, __LINE__); \
  } while (false)
[[noreturn]] void fail_check(const char* condition, const char* file, int line);

}  // namespace ddpm
