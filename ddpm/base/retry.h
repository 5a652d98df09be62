// Repeats system calls that a signal may interrupt.
#pragma once

#include <cerrno>
#include <type_traits>

namespace ddpm {

// Repeats a call for as long as a signal interrupts it (EINTR). A negative number or a null pointer
// means that the call failed. errno is set to 0 before each try. This matters for readdir(), which
// returns null both for an error and at the end: errno shows which.
template <class Call>
auto retry(const Call& call) {
  for (;;) {
    errno = 0;
    const auto result = call();
    bool failed;
    if constexpr (std::is_pointer_v<decltype(call())>) {
      failed = result == nullptr;
    } else {
      failed = result < 0;
    }
    if (!failed || errno != EINTR) return result;
  }
}

}  // namespace ddpm
