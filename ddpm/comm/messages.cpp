#include "ddpm/comm/messages.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <exception>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

// What other ranks must know to throw the same kind of error.
struct Failure {
  enum Kind : int32_t { kNone, kError, kUsage, kSystem, kInterrupted };
  Kind kind = kNone;
  // Of kSystem: its errno.
  int32_t code = 0;
};

Failure failure_of(const Error& error) {
  if (dynamic_cast<const UsageError*>(&error) != nullptr) return {.kind = Failure::kUsage};
  if (dynamic_cast<const Interrupted*>(&error) != nullptr) return {.kind = Failure::kInterrupted};
  if (const auto* system = dynamic_cast<const SystemError*>(&error))
    return {.kind = Failure::kSystem, .code = system->code()};
  return {.kind = Failure::kError};
}

[[noreturn]] void throw_again(const Failure& failure, const std::string& text) {
  switch (failure.kind) {
    case Failure::kUsage:
      throw UsageError(text);
    case Failure::kSystem:
      throw SystemError(text, failure.code);
    case Failure::kInterrupted:
      throw Interrupted(text);
    default:
      throw Error(text);
  }
}

}  // namespace

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

bool any_of(Communicator& ranks, bool mine) {
  return std::ranges::count(gather_each<int32_t>(ranks, mine ? 1 : 0), 1) > 0;
}

void agree(Communicator* ranks, const std::function<void()>& work) {
  if (ranks == nullptr) return work();
  Failure own;
  std::string text;
  std::exception_ptr error;
  try {
    work();
  } catch (const Error& thrown) {
    own = failure_of(thrown);
    text = thrown.what();
    error = std::current_exception();
  }
  const std::vector<Failure> failures = gather_each(*ranks, own);
  const auto first = std::ranges::find_if(
      failures, [](const Failure& failure) { return failure.kind != Failure::kNone; });
  if (first == failures.end()) return;
  const std::vector<std::string> texts = gather_texts(*ranks, text);
  const auto rank = static_cast<size_t>(first - failures.begin());
  const bool of_all = std::ranges::count(texts, texts[rank]) == std::ssize(texts);
  // The user has interrupted all of them.
  if (of_all || first->kind == Failure::kInterrupted) {
    if (error && text == texts[rank]) std::rethrow_exception(error);
    throw_again(*first, texts[rank]);
  }
  throw_again(*first,
              fmt::format("rank {} (host {}): {}", rank, ranks->hosts()[rank], texts[rank]));
}

}  // namespace ddpm
