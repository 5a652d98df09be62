// A session on several ranks: what rank 0 tells the others before the first step.
#include <fmt/core.h>

#include <string>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/json.h"
#include "ddpm/base/options.h"
#include "ddpm/engine/run/run_pictures.h"
#include "ddpm/engine/run/serve_run.h"
#include "ddpm/engine/run/session.h"
#include "ddpm/parallel/messages.h"

namespace ddpm {
namespace {

constexpr const char* kWhat = "what rank 0 tells of the run";

std::string text_of(const JsonObject& told, const char* name) {
  std::string text;
  if (const std::string* json = told.find(name)) json_value::read(*json, name, text);
  return text;
}

JsonObject object_of(const JsonObject& told, const char* name) {
  return JsonObject::parse(*told.find(name), kWhat);
}

// Throws Error on rank 0, with the first of the texts that is not empty. Elsewhere returns whether
// all are.
bool all_are_ready(Communicator& ranks, const std::string& failure) {
  const std::vector<std::string> failures = gather_texts(ranks, failure);
  for (size_t rank = 0; rank < failures.size(); ++rank) {
    if (failures[rank].empty()) continue;
    if (ranks.rank() != 0) return false;
    throw Error(fmt::format("rank {} ({}): {}", rank, ranks.hosts()[rank], failures[rank]));
  }
  return true;
}

}  // namespace

void RunSession::choose_way_to_add() {
  OptimizerOptions& options = options_.optimizer;
  if (ranks_ == nullptr || options.reduce == "fast" || options.micro_batch > 0) return;
  if (is_new_) {
    options.micro_batch = OptimizerOptions::kChunk;
    return;
  }
  warn(
      "the run was started without --micro-batch, so on several ranks its gradients are added in "
      "another order than on one (--reduce fast), and the weights are not the same to the bit");
  options.reduce = "fast";
}

void RunSession::invite_ranks() {
  if (ranks_ == nullptr) return;
  JsonObject options;
  write_options(options_, options);
  JsonObject told;
  told.set("options", options.dump(-1));
  told.set("model", to_json(model()));
  told.set("data", json_value::write(fingerprint_.hash()));
  broadcast_text(*ranks_, told.dump(-1));
  broadcast_text(*ranks_, index_.pictures.empty() ? "" : to_text(index_));
  all_are_ready(*ranks_, "");
}

void serve_run(Communicator& ranks, const PictureLoader& pictures) {
  const std::string text = broadcast_text(ranks, "");
  const std::string index_text = broadcast_text(ranks, "");
  TrainOptions options;
  ModelConfig model;
  std::shared_ptr<const Pictures> training;
  std::string failure;
  try {
    const JsonObject told = JsonObject::parse(text, kWhat);
    read_options(object_of(told, "options"), options);
    model = model_config_from_json(*told.find("model"), kWhat);
    const std::string directory;
    PictureIndex index;
    if (!index_text.empty()) index = index_from_text(index_text, kWhat);
    const DataFingerprint known;
    std::shared_ptr<const Pictures> all = pictures({directory, false, options.data, known, index});
    if (all->fingerprint().hash() != text_of(told, "data")) {
      fail("train", fmt::format("the pictures of {} are not those of rank 0; all ranks must see the "
                                "same files",
                                all->name()));
    }
    training = run_pictures(std::move(all), options.data).training;
  } catch (const Error& error) {
    failure = error.what();
  }
  if (!all_are_ready(ranks, failure)) return;
  BatchFeed feed = feed_of(training, options);
  Trainer trainer(
      options.optimizer, model, [&feed](int64_t step) { return feed.at(step); }, ranks);
  feed.set_part(trainer.own_pictures());
  trainer.serve();
}

}  // namespace ddpm
