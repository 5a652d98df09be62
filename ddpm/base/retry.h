// System calls that signals interrupt.
#pragma once

#include <cerrno>
#include <type_traits>

namespace ddpm {

// Calls again while a signal interrupts the call (EINTR). The call fails with a negative number or
// with a null pointer. errno is 0 before each try, so that null without an error can be told.
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
