#include "ddpm/base/error.h"

#include <fmt/core.h>

#include <cerrno>

#include "ddpm/base/text.h"

namespace ddpm {

bool is_transient(int code) {
  switch (code) {
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN:
    case EINTR:
    case EBUSY:
    case ETIMEDOUT:
    case ESTALE:
    case ENODEV:
    case ENXIO:
    case EREMOTEIO:
      return true;
    default:
      return false;
  }
}

std::string_view without_place(std::string_view message) {
  const size_t end = message.find("] ");
  return message.starts_with('[') && end != message.npos ? message.substr(end + 2) : message;
}

void fail(std::string_view where, std::string_view what) {
  throw Error(printable(fmt::format("[{}] {}", where, what)));
}

void fail_usage(std::string_view where, std::string_view what) {
  throw UsageError(printable(fmt::format("[{}] {}", where, what)));
}

void fail_system(std::string_view where, std::string_view what, int code) {
  throw SystemError(printable(fmt::format("[{}] {}", where, what)), code);
}

void fail_check(const char* condition, const char* file, int line) {
  throw Error(
      fmt::format("[internal] {}:{}: {} does not hold; please report this", file, line, condition));
}

}  // namespace ddpm
