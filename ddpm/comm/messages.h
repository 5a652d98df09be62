// Small messages between ranks: numbers and texts. Every call is made by all ranks and waits.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "ddpm/comm/communicator.h"

namespace ddpm {

void broadcast_bytes(Communicator& ranks, std::span<std::byte> bytes, int root = 0);
// Gives the text of `root` to all ranks.
std::string broadcast_text(Communicator& ranks, std::string text, int root = 0);
// The texts of all ranks, on all ranks.
std::vector<std::string> gather_texts(Communicator& ranks, const std::string& text);

// Whether `mine` is true on any rank.
bool any_of(Communicator& ranks, bool mine);

// Runs the work of this rank. If that of a rank throws Error, this throws the same kind with the
// same text on all ranks: that of the first rank that failed, with its number and host unless all
// have failed in the same way. Null: this process is alone.
void agree(Communicator* ranks, const std::function<void()>& work);

template <class T>
requires std::is_trivially_copyable_v<T> T broadcast_value(Communicator& ranks, T value,
                                                           int root = 0) {
  broadcast_bytes(ranks, std::as_writable_bytes(std::span(&value, 1)), root);
  return value;
}

// The values of all ranks one after another, counts[r] of rank r, on all ranks.
template <class T>
requires std::is_trivially_copyable_v<T> std::vector<T> gather_values(
    Communicator& ranks, const std::vector<T>& mine, const std::vector<size_t>& counts) {
  std::vector<size_t> sizes;
  size_t all = 0;
  for (const size_t count : counts) {
    sizes.push_back(count * sizeof(T));
    all += count;
  }
  std::vector<T> values(all);
  ranks
      .all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(values)), sizes)
      ->wait();
  return values;
}

// One value of each rank.
template <class T>
std::vector<T> gather_each(Communicator& ranks, const T& mine) {
  return gather_values(ranks, std::vector<T>{mine},
                       std::vector<size_t>(static_cast<size_t>(ranks.size()), 1));
}

}  // namespace ddpm
