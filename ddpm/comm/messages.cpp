#include "ddpm/comm/messages.h"

#include <fmt/core.h>

#include <cstdint>
#include <exception>

#include "ddpm/base/error.h"

namespace ddpm {

void broadcast_bytes(Communicator& ranks, std::span<std::byte> bytes, int root) {
  ranks.broadcast(bytes, root)->wait();
}

std::string broadcast_text(Communicator& ranks, std::string text, int root) {
  text.resize(broadcast_value(ranks, text.size(), root));
  broadcast_bytes(ranks, std::as_writable_bytes(std::span(text)), root);
  return text;
}

std::vector<std::string> gather_texts(Communicator& ranks, const std::string& text) {
  const std::vector<size_t> sizes = gather_each(ranks, text.size());
  const std::vector<char> all =
      gather_values(ranks, std::vector<char>(text.begin(), text.end()), sizes);
  std::vector<std::string> texts;
  auto next = all.begin();
  for (const size_t size : sizes) {
    texts.emplace_back(next, next + static_cast<std::ptrdiff_t>(size));
    next += static_cast<std::ptrdiff_t>(size);
  }
  return texts;
}

void agree(Communicator* ranks, const std::function<void()>& work) {
  if (ranks == nullptr) return work();
  std::string failure;
  std::exception_ptr error;
  try {
    work();
  } catch (const Error& thrown) {
    failure = thrown.what();
    error = std::current_exception();
  }
  const std::vector<std::string> failures = gather_texts(*ranks, failure);
  if (error) std::rethrow_exception(error);
  for (size_t rank = 0; rank < failures.size(); ++rank) {
    if (!failures[rank].empty())
      throw Error(fmt::format("rank {} ({}): {}", rank, ranks->hosts()[rank], failures[rank]));
  }
}

}  // namespace ddpm
