#include "ddpm/comm/thread_collective.h"

#include <fmt/core.h>

#include <cstring>

#include "ddpm/base/error.h"
#include "ddpm/comm/arguments.h"

namespace ddpm {
namespace {

const char* name_of(Call call) {
  static constexpr const char* kNames[] = {"broadcast", "all_gather", "all_to_all", "duplicate"};
  return kNames[static_cast<int>(call)];
}

// Throws Error unless all ranks make the same call.
void check_same(const std::vector<Part>& parts) {
  for (size_t r = 1; r < parts.size(); ++r) {
    if (parts[r].call != parts[0].call)
      fail("ranks", fmt::format("rank 0 calls {}, but rank {} calls {} at the same place; all "
                                "ranks must make the same calls",
                                name_of(parts[0].call), r, name_of(parts[r].call)));
    if (parts[r].root != parts[0].root)
      fail("ranks", fmt::format("{}: rank 0 names {} as root, but rank {} names {}",
                                name_of(parts[0].call), parts[0].root, r, parts[r].root));
  }
}

// Copies what rank `from` gives to rank `to`.
void move_part(const std::vector<Part>& parts, size_t from, size_t to) {
  const char* call = name_of(parts[0].call);
  const int ranks = static_cast<int>(parts.size());
  std::span<const std::byte> sent = parts[from].sent;
  if (parts[0].call == Call::kAllToAll) {
    const auto begins = offsets(call, parts[from].sent_sizes, ranks, sent.size());
    sent = sent.subspan(begins[to], parts[from].sent_sizes[to]);
  }
  std::span<std::byte> received = parts[to].received;
  if (parts[0].call != Call::kBroadcast) {
    const auto begins = offsets(call, parts[to].received_sizes, ranks, received.size());
    received = received.subspan(begins[from], parts[to].received_sizes[from]);
  }
  check_bytes(call, static_cast<int>(from), sent.size(), static_cast<int>(to), received.size());
  copy_bytes(sent, received);
}

}  // namespace

void copy_bytes(std::span<const std::byte> from, std::span<std::byte> to) {
  if (!from.empty() && from.data() != to.data()) std::memmove(to.data(), from.data(), from.size());
}

void complete(const std::vector<Part>& parts) {
  check_same(parts);
  const size_t root = static_cast<size_t>(parts[0].root);
  switch (parts[0].call) {
    case Call::kBroadcast:
      for (size_t to = 0; to < parts.size(); ++to) move_part(parts, root, to);
      break;
    case Call::kAllGather:
    case Call::kAllToAll:
      for (size_t from = 0; from < parts.size(); ++from) {
        for (size_t to = 0; to < parts.size(); ++to) move_part(parts, from, to);
      }
      break;
    case Call::kDuplicate:
      break;
  }
}

}  // namespace ddpm
