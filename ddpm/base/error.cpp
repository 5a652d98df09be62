#include "ddpm/base/error.h"

#include <fmt/core.h>

namespace ddpm {

void fail(std::string_view where, std::string_view what) {
  throw Error(fmt::format("[{}] {}", where, what));
}

void fail_usage(std::string_view where, std::string_view what) {
  throw UsageError(fmt::format("[{}] {}", where, what));
}

void fail_check(const char* condition, const char* file, int line) {
  throw Error(
      fmt::format("[internal] {}:{}: {} does not hold; please report this", file, line, condition));
}

}  // namespace ddpm
