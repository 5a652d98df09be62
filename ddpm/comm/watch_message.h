// What ranks tell each other about themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

// Its layout and size are the same in all versions, so that ranks of different versions can still
// tell each other why the job ends.
struct WatchMessage {
  // Versions that do not know a kind take it for kAlive.
  enum Kind : int32_t { kAlive, kLost, kFailed, kLeaves };

  WatchMessage() = default;
  // A text that is too long is cut.
  WatchMessage(Kind kind, int rank, int status, std::string_view text);
  std::string text() const;
  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(this, 1)); }

  int32_t kind = kAlive;
  // kFailed: the rank that failed.
  int32_t rank = 0;
  // The exit status of the job.
  int32_t status = 0;
  int32_t length = 0;
  // kLost: the line for the user. kFailed: why the rank failed.
  char characters[1008] = {};
};
static_assert(sizeof(WatchMessage) == 1024);

// The ranks that a rank exchanges messages with: those at distance 1, 2, 4 and so on. So news
// reaches all ranks in few steps, also if some ranks are lost.
std::vector<int> watch_neighbours(int rank, int size);

}  // namespace ddpm
