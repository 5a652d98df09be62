#include "ddpm/comm/arguments.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"

namespace ddpm {

void check_rank(const char* call, int rank, int size) {
  if (rank < 0 || rank >= size)
    fail("ranks", fmt::format("{}: there is no rank {}; ranks are 0 to {}", call, rank, size - 1));
}

void check_tag(const char* call, int tag) {
  if (tag < 0 || tag >= 1000)
    fail("ranks", fmt::format("{}: the tag {} is not in 0 to 999", call, tag));
}

void check_bytes(const char* call, int sender, size_t sent, int receiver, size_t received) {
  if (sent == received) return;
  fail("ranks", fmt::format("{}: rank {} sends {} bytes, but rank {} has room for {}; both must "
                            "give the same number",
                            call, sender, sent, receiver, received));
}

std::vector<size_t> offsets(const char* call, std::span<const size_t> sizes, int ranks,
                            size_t bytes) {
  if (sizes.size() != static_cast<size_t>(ranks))
    fail("ranks", fmt::format("{}: {} sizes are given for {} ranks; give one for each", call,
                              sizes.size(), ranks));
  std::vector<size_t> begins;
  size_t sum = 0;
  for (const size_t size : sizes) {
    begins.push_back(sum);
    sum += size;
  }
  if (sum != bytes)
    fail("ranks", fmt::format("{}: the sizes of all ranks are {} bytes together, but the buffer "
                              "has {}; both must be the same",
                              call, sum, bytes));
  return begins;
}

}  // namespace ddpm
