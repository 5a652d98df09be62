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

// Throws Error("[where] what").
[[noreturn]] void fail(std::string_view where, std::string_view what);

// Throws UsageError("[where] what").
[[noreturn]] void fail_usage(std::string_view where, std::string_view what);

// Our own invariants, always on: throws Error naming the condition and its place.
#define DDPM_CHECK(condition)                             \
  do {                                                    \
    if (!(condition)) [[unlikely]]                        \
      ::ddpm::fail_check(#condition, __FILE__, __LINE__); \
  } while (false)
[[noreturn]] void fail_check(const char* condition, const char* file, int line);

}  // namespace ddpm
