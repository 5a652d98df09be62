// The collective calls of a thread group: what each rank gives, and what is done when all have
// called.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace ddpm {

enum class Call { kBroadcast, kAllGather, kAllToAll, kDuplicate };

// What one rank gives to a collective call.
struct Part {
  Call call = Call::kBroadcast;
  int root = 0;
  std::span<const std::byte> sent;
  std::span<std::byte> received;
  std::vector<size_t> sent_sizes, received_sizes;
};

// Does nothing if both are the same bytes.
void copy_bytes(std::span<const std::byte> from, std::span<std::byte> to);

// Does a call whose ranks have all arrived, part r that of rank r. Throws Error if the parts do not
// fit.
void complete(const std::vector<Part>& parts);

}  // namespace ddpm
