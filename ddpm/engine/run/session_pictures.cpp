// The pictures of a session: those that it learns from, those that it holds out, and their classes.
#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/engine/run/checked_pictures.h"
#include "ddpm/engine/run/run_pictures.h"
#include "ddpm/engine/run/session.h"

namespace ddpm {

ModelConfig RunSession::model() const {
  const ImageSize size = pictures_->image_size();
  ModelConfig config = options_.model_config(size.height, size.width, pictures_->channels(),
                                             pictures_->condition_channels());
  if (options_.data.wants_classes()) {
    config.class_names = pictures_->class_names();
    config.class_counts = class_counts(*pictures_);
    config.network.classes() = static_cast<int64_t>(config.class_names.size());
  }
  return config;
}

void RunSession::load(const PictureLoader& loader, bool resumed, const DataFingerprint& known,
                      const RunPlanner& planner) {
  const PictureIndex before = index_;
  tell_ranks_to_load(resumed, known);
  pictures_ = loader({directory_, resumed, options_.data, known, index_, ranks_});
  index_is_written_ = index_ == before;
  if (!pictures_) fail("train", "the program returned no pictures");
  check_pictures(options_.data, *pictures_);
  options_.data.channels = std::to_string(pictures_->channels());
  fingerprint_ = pictures_->fingerprint();
  RunPictures parts = run_pictures(std::move(pictures_), options_.data);
  pictures_ = std::move(parts.training);
  picture_numbers_ = std::move(parts.training_numbers);
  held_out_ = parts.held_out ? parts.held_out->size() : 0;
  require_classes();
  // A plan may take long. So what can be refused is refused before it.
  if (planner) {
    options_ = planner(options_, model(), pictures_->size());
    options_.check();
  }
  if (parts.held_out) validate_on(parts.held_out, parts.hashes);
}

void RunSession::require_classes() const {
  if (!options_.data.wants_classes()) return;
  const std::vector<std::string> classes = pictures_->class_names();
  if (classes.empty()) fail_usage("train", "classes are to be learnt, but the pictures have none");
  model().check();
  const std::vector<int64_t> counts = class_counts(*pictures_);
  for (size_t label = 0; label < counts.size(); ++label) {
    if (counts[label] > 0 || held_out_ == 0) continue;
    warn(fmt::format("all pictures of the class {} are held out, so it will not be learnt",
                     printable(classes[label])));
  }
  if (classes.size() == 1) {
    warn(fmt::format("all pictures are of one class, {}; there is nothing to tell apart",
                     printable(classes[0])));
  }
  const std::vector<int64_t> labels = pictures_->labels();
  const bool all_have_one = !labels.empty() && *std::min_element(labels.begin(), labels.end()) >= 0;
  if (options_.optimizer.label_dropout == 0 && all_have_one) {
    warn(
        "with a label-dropout of 0 the network never sees a picture without its class, so guidance "
        "will not work; 0.1 is usual");
  }
}

void RunSession::validate_on(const std::shared_ptr<const Pictures>& held_out,
                             const std::vector<uint64_t>& hashes) {
  validation_.emplace(held_out, hashes, model(),
                      ValidationOptions{.loss = loss_kind(options_.optimizer.loss),
                                        .seed = options_.optimizer.seed});
  const int64_t every = options_.run.validate_every;
  validate_every_ =
      every > 0 ? every : usual_validation_interval(validation_->count(), options_.optimizer.batch);
}

Batch RunSession::pictures_of(int64_t step) {
  try {
    return feed_->at(step);
  } catch (const Error&) {
    pictures_failed_ = true;
    throw;
  }
}

}  // namespace ddpm
