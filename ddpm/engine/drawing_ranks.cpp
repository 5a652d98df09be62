#include "ddpm/engine/drawing_ranks.h"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/comm/messages.h"
#include "ddpm/engine/drawing_messages.h"
#include "ddpm/engine/generation.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

using Kind = DrawingMessage::Kind;

// Messages on their way to rank 0.
class Outbox {
 public:
  explicit Outbox(Communicator& ranks) : ranks_(ranks) {}

  // float32, on any device.
  void send(Kind kind, const std::vector<Tensor>& parts) {
    flush();
    for (const Tensor& part : parts) parts_.push_back(part.to(Device::kCpu));
    send_message({.kind = kind,
                  .parts = static_cast<int32_t>(parts.size()),
                  .bytes = parts.front().bytes()});
    for (const Tensor& part : std::as_const(parts_))
      add(std::as_bytes(std::span(part.f32(), static_cast<size_t>(part.elements()))));
  }

  void send_end(Kind kind, const std::string& text) {
    flush();
    text_ = text;
    send_message({.kind = kind, .parts = text.empty() ? 0 : 1, .bytes = std::ssize(text)});
    if (!text.empty()) add(std::as_bytes(std::span(text_)));
    flush();
  }

  // Lets it proceed.
  void proceed() {
    for (const PendingComm& each : pending_) each->test();
  }

  void flush() {
    for (const PendingComm& each : pending_) each->wait();
    pending_.clear();
    parts_.clear();
  }

 private:
  void send_message(const DrawingMessage& message) {
    message_ = message;
    add(std::as_bytes(std::span(&message_, 1)));
  }
  void add(std::span<const std::byte> bytes) {
    pending_.push_back(ranks_.send(bytes, 0, kDrawnTag));
  }

  Communicator& ranks_;
  DrawingMessage message_;
  std::string text_;
  std::vector<Tensor> parts_;
  std::vector<PendingComm> pending_;
};

// A rank that draws for rank 0.
class DrawingServer {
 public:
  DrawingServer(Communicator& ranks, Device device) : ranks_(ranks), device_(device) {}

  void run() {
    while (true) {
      const auto command = broadcast_value(ranks_, DrawingCommand());
      if (command.kind == DrawingCommand::Kind::kEnd) return;
      if (command.kind == DrawingCommand::Kind::kDraw)
        draw();
      else
        take_network(static_cast<size_t>(command.network));
    }
  }

 private:
  void take_network(size_t number) {
    if (number >= networks_.size()) networks_.resize(number + 1);
    // The old one first, because there may not be memory for both.
    networks_[number] = {};
    networks_[number] = broadcast_network(ranks_, nullptr, {}, device_);
  }

  void draw() {
    const DrawingTask task = broadcast_task(ranks_, {}, networks_);
    std::byte stop{};
    const PendingComm stopping = ranks_.receive({&stop, 1}, 0, kStopTag);
    Outbox out(ranks_);
    Kind end = Kind::kEnd;
    std::string failure;
    try {
      draw_parts(task, *stopping, out);
    } catch (const UsageError& error) {
      end = Kind::kRefused;
      failure = error.what();
    } catch (const std::bad_alloc&) {
      end = Kind::kFailed;
      failure = "out of memory; use a smaller batch";
    } catch (const std::exception& error) {
      end = Kind::kFailed;
      failure = error.what();
    }
    out.send_end(end, failure);
    stopping->wait();
  }

  void draw_parts(const DrawingTask& task, CommOperation& stopping, Outbox& out) const {
    const Model& model = networks_[static_cast<size_t>(task.network)];
    GenerateOptions options = task.options;
    Model guide;
    if (task.guide >= 0) {
      guide = networks_[static_cast<size_t>(task.guide)];
      guide.config = task.guide_config;
      options.guide = &guide;
    }
    for (Tensor& noise : options.noise) noise = noise.to(device_);
    const Generation generation(*model.network, task.config, options, false);
    const auto step = [&](const SampleProgress& now) {
      if (stopping.test()) return false;
      out.proceed();
      if (!options.all_states) return true;
      std::vector<Tensor> state = {*now.x};
      if (now.x0 != nullptr) state.push_back(*now.x0);
      out.send(Kind::kState, state);
      // They change in the next step.
      out.flush();
      return true;
    };
    const int64_t at_once = options.batch * ranks_.size();
    for (int64_t begin = 0; begin < generation.drawn(); begin += at_once) {
      const Range round{.begin = begin, .end = std::min(begin + at_once, generation.drawn())};
      const Range part = drawing_part(round, ranks_.rank(), ranks_.size());
      if (part.count() == 0) continue;
      const std::optional<Tensor> images = generation.draw(part.begin, part.count(), step);
      if (!images || stopping.test()) return;
      out.send(Kind::kImages, {*images});
    }
  }

  Communicator& ranks_;
  const Device device_;
  std::vector<Model> networks_;
};

}  // namespace

void DrawingRanks::tell(const DrawingCommand& command) {
  ready_ = false;
  broadcast_value(ranks_, command);
}

DrawingRanks::~DrawingRanks() {
  if (!ready_) return;
  try {
    tell({.kind = DrawingCommand::Kind::kEnd});
  } catch (const Error&) {
    // The job ends anyway.
  }
}

void DrawingRanks::share(Network& network, const ModelConfig& config) {
  auto place = std::find(networks_.begin(), networks_.end(), &network);
  if (place == networks_.end()) place = networks_.insert(place, &network);
  tell({.kind = DrawingCommand::Kind::kShare,
        .network = static_cast<int32_t>(place - networks_.begin())});
  broadcast_network(ranks_, &network, config, network.device());
  done();
}

int32_t DrawingRanks::number_of(const Network& network) const {
  const auto place = std::find(networks_.begin(), networks_.end(), &network);
  if (place == networks_.end())
    fail("sample", "the network was not shared with the other ranks; call DrawingRanks::share()");
  return static_cast<int32_t>(place - networks_.begin());
}

void serve_drawing(Communicator& ranks, Device device) { DrawingServer(ranks, device).run(); }

}  // namespace ddpm
