// A session on several ranks: what rank 0 tells the others before the first step.
#include <fmt/core.h>

#include <memory>
#include <string>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/json.h"
#include "ddpm/base/options.h"
#include "ddpm/comm/messages.h"
#include "ddpm/engine/run/run_pictures.h"
#include "ddpm/engine/run/serve_run.h"
#include "ddpm/engine/run/session.h"

namespace ddpm {
namespace {

constexpr const char* kWhat = "what rank 0 tells of the run";

std::string options_text(const TrainOptions& options) {
  JsonObject object;
  write_options(options, object);
  return object.dump(-1);
}

TrainOptions receive_options(Communicator& ranks) {
  TrainOptions options;
  read_options(JsonObject::parse(broadcast_text(ranks, ""), kWhat), options);
  return options;
}

// What a loader is told of earlier sessions.
struct KnownData {
  DataFingerprint files;
  PictureIndex index;
};

KnownData receive_known(Communicator& ranks) {
  KnownData known;
  if (const std::string text = broadcast_text(ranks, ""); !text.empty())
    known.files = fingerprint_from_text(text, kWhat);
  if (const std::string text = broadcast_text(ranks, ""); !text.empty())
    known.index = index_from_text(text, kWhat);
  return known;
}

}  // namespace

// A rank computes the gradients of whole chunks.
void RunSession::warn_of_idle_ranks() const {
  if (ranks_ == nullptr) return;
  const OptimizerOptions& options = options_.optimizer;
  const bool exact = options.reduce == "exact";
  const int64_t chunk = exact ? options.chunk() : 1, parts = (options.batch + chunk - 1) / chunk;
  if (ranks_->size() <= parts) return;
  warn(
      fmt::format("only {} of {} ranks have work, because a batch of {} pictures{}; --batch {} has "
                  "work for all",
                  parts, ranks_->size(), options.batch,
                  exact ? fmt::format(" is {} chunk{} of {}", parts, parts == 1 ? "" : "s", chunk)
                        : " has no more for the others",
                  chunk * ranks_->size()));
}

OptimizerOptions RunSession::with_way_to_add(OptimizerOptions options) {
  if (options.reduce == "exact" && options.micro_batch == 0)
    options.micro_batch = OptimizerOptions::kChunk;
  return options;
}

void RunSession::choose_way_to_add() {
  OptimizerOptions& options = options_.optimizer;
  if (ranks_ == nullptr || options.reduce == "fast" || options.micro_batch > 0) return;
  if (is_new_) {
    options = with_way_to_add(options);
    return;
  }
  if (ranks_->size() > 1) {
    warn(
        "the run was started without --micro-batch, so on several ranks its gradients are added in "
        "another order than on one (--reduce fast), and the weights are not the same to the bit");
  }
  options.reduce = "fast";
}

// Before this rank loads the pictures: so that the others load them at the same time.
void RunSession::tell_ranks_to_load(bool resumed, const DataFingerprint& known) {
  if (ranks_ == nullptr) return;
  broadcast_text(*ranks_, options_text(options_));
  broadcast_value(*ranks_, resumed);
  broadcast_text(*ranks_, known.files.empty() ? "" : to_text(known));
  broadcast_text(*ranks_, index_.pictures.empty() ? "" : to_text(index_));
}

// The options are final.
void RunSession::tell_ranks_to_train() {
  if (ranks_ == nullptr) return;
  broadcast_text(*ranks_, options_text(options_));
  broadcast_text(*ranks_, to_json(model()));
}

std::optional<RankTraffic> RunSession::traffic() const {
  const std::optional<ExchangeFigures> figures = trainer_->exchange_figures();
  if (!figures) return std::nullopt;
  return RankTraffic{.steps = figures->steps,
                     .sent_bytes = figures->gradient_bytes + figures->weight_bytes,
                     .fewest_bytes = figures->fewest_bytes,
                     .waited = figures->waited};
}

void serve_run(Communicator& ranks, const PictureLoader& pictures,
               const std::function<void(const TrainOptions&)>& started) {
  TrainOptions options = receive_options(ranks);
  const auto resumed = broadcast_value(ranks, false);
  KnownData known = receive_known(ranks);
  const std::string no_directory;
  const std::shared_ptr<const Pictures> all =
      pictures({no_directory, resumed, options.data, known.files, known.index, &ranks});
  if (!all) fail("train", "the program returned no pictures");
  options = receive_options(ranks);
  const ModelConfig model = model_config_from_json(broadcast_text(ranks, ""), kWhat);
  if (started) started(options);
  BatchFeed feed = feed_of(run_pictures(all, options.data).training, options);
  Trainer trainer(
      options.optimizer, model, [&feed](int64_t step) { return feed.at(step); }, ranks);
  feed.set_part(trainer.own_pictures());
  trainer.serve();
}

}  // namespace ddpm
