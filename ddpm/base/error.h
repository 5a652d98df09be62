// Everything in ddpm fails by throwing Error or one of its kinds below. Nothing inside ddpm/
// exits, aborts or prints, except that comm ends a job of several processes when one of them is
// lost.
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

// The request itself can never work: an unknown option value, a size that the network cannot take.
// Programs report it with exit status 2, other errors with 1.
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

// The user asked to stop before there was anything to save. Programs end with status 130.
class Interrupted : public Error {
 public:
  using Error::Error;
};

// True for an errno that is about a device or a limit of the process, not about the file itself.
// The same call may succeed later, so a caller must not go on as if the file were bad.
bool is_transient(int code);

// Throws Error("[where] what"). The text goes through printable() (base/text.h), so it becomes one
// line that is safe to show, whatever file names it contains.
[[noreturn]] void fail(std::string_view where, std::string_view what);

// The text of an error without "[where] ", to be part of another error's text.
std::string_view without_place(std::string_view message);

// Throws UsageError("[where] what"). The text goes through printable() as well.
[[noreturn]] void fail_usage(std::string_view where, std::string_view what);
// Throws SystemError("[where] what"). The text goes through printable() as well. code is the errno.
[[noreturn]] void fail_system(std::string_view where, std::string_view what, int code);

// Checks our own invariants, in every build. Throws Error naming the condition and its place.
#define DDPM_CHECK(condition)                             \
  do {                                                    \
    if (!(condition)) [[unlikely]]                        \
      ::ddpm::fail_check(#condition, __FILE__, __LINE__); \
  } while (false)
[[noreturn]] void fail_check(const char* condition, const char* file, int line);

}  // namespace ddpm
