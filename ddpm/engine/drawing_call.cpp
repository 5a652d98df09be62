#include "ddpm/engine/drawing_call.h"

#include <fmt/core.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

using Kind = DrawingMessage::Kind;

bool is_failure(const DrawingMessage& message) {
  return message.kind == Kind::kRefused || message.kind == Kind::kFailed;
}

}  // namespace

DrawingCall::DrawingCall(DrawingRanks& ranks, const Network& network, const ModelConfig& config,
                         const GenerateOptions& options, const Shape& image)
    : drawing_(ranks),
      ranks_(ranks.communicator()),
      image_(image),
      others_(static_cast<size_t>(ranks_.size()) - 1) {
  DrawingTask task{.network = ranks.number_of(network), .config = config, .options = options};
  // Nobody is told of them without it.
  if (!options.progress) task.options.all_states = false;
  if (options.guide != nullptr) {
    task.guide = ranks.number_of(*options.guide->network);
    task.guide_config = options.guide->config;
  }
  ranks.tell({.kind = DrawingCommand::Kind::kDraw});
  broadcast_task(ranks_, task, {});
  for (int rank = 1; rank < size(); ++rank) listen(rank);
}

void DrawingCall::listen(int rank) {
  Other& from = other(rank);
  from.receiving =
      ranks_.receive(std::as_writable_bytes(std::span(&from.message, 1)), rank, kDrawnTag);
}

void DrawingCall::take_failure(int rank) {
  Other& from = other(rank);
  std::string text(static_cast<size_t>(from.message.bytes), '\0');
  ranks_.receive(std::as_writable_bytes(std::span(text)), rank, kDrawnTag)->wait();
  from.ended = true;
  text =
      fmt::format("rank {} (host {}): {}", rank, ranks_.hosts()[static_cast<size_t>(rank)], text);
  if (from.message.kind == Kind::kRefused) throw UsageError(text);
  throw Error(text);
}

void DrawingCall::check() {
  for (int rank = 1; rank < size(); ++rank) {
    Other& from = other(rank);
    if (!from.ended && from.receiving->test() && is_failure(from.message)) take_failure(rank);
  }
}

std::vector<Tensor> DrawingCall::receive(int rank, Kind kind, int64_t count) {
  Other& from = other(rank);
  from.receiving->wait();
  if (is_failure(from.message)) take_failure(rank);
  DDPM_CHECK(from.message.kind == kind);
  std::vector<Tensor> parts;
  for (int32_t part = 0; part < from.message.parts; ++part) {
    Tensor& values = parts.emplace_back(Shape{count, image_[0], image_[1], image_[2]});
    DDPM_CHECK(values.bytes() == from.message.bytes);
    ranks_
        .receive(
            std::as_writable_bytes(std::span(values.f32(), static_cast<size_t>(values.elements()))),
            rank, kDrawnTag)
        ->wait();
  }
  listen(rank);
  return parts;
}

Tensor DrawingCall::images(int rank, int64_t count) {
  return receive(rank, Kind::kImages, count).front();
}

DrawingCall::State DrawingCall::state(int rank, int64_t count) {
  const std::vector<Tensor> parts = receive(rank, Kind::kState, count);
  return {.x = parts.front(), .x0 = parts.size() > 1 ? parts.back() : Tensor()};
}

// What a rank has sent, or sends before it notices that the call ends.
void DrawingCall::discard(int rank) {
  Other& from = other(rank);
  while (!from.ended) {
    from.receiving->wait();
    std::vector<std::byte> bytes(static_cast<size_t>(from.message.bytes));
    for (int32_t part = 0; part < from.message.parts; ++part)
      ranks_.receive(bytes, rank, kDrawnTag)->wait();
    from.ended = from.message.kind == Kind::kEnd || is_failure(from.message);
    if (!from.ended) listen(rank);
  }
}

void DrawingCall::finish() {
  const std::byte stop{};
  for (int rank = 1; rank < size(); ++rank) ranks_.send({&stop, 1}, rank, kStopTag)->wait();
  for (int rank = 1; rank < size(); ++rank) discard(rank);
  drawing_.done();
}

}  // namespace ddpm
