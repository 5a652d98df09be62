#include "ddpm/comm/watch_message.h"

#include <algorithm>
#include <set>

namespace ddpm {

WatchMessage::WatchMessage(Kind kind, int rank, int status, std::string_view text)
    : kind(kind), rank(rank), status(status) {
  const std::string_view kept = text.substr(0, sizeof characters);
  length = static_cast<int32_t>(kept.size());
  std::ranges::copy(kept, characters);
}

std::string WatchMessage::text() const {
  const auto most = static_cast<int32_t>(sizeof characters);
  return {characters, static_cast<size_t>(std::clamp(length, 0, most))};
}

std::vector<int> watch_neighbours(int rank, int size) {
  std::set<int> neighbours;
  for (int distance = 1; distance < size; distance *= 2) {
    neighbours.insert((rank + distance) % size);
    neighbours.insert((rank + size - distance) % size);
  }
  return {neighbours.begin(), neighbours.end()};
}

}  // namespace ddpm
