#include "ddpm/engine/run/run_pictures.h"

#include <fmt/core.h>

#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/held_out.h"
#include "ddpm/data/stream/picture_index.h"
#include "ddpm/engine/run/directory.h"

namespace ddpm {
namespace {

std::shared_ptr<const Pictures> conditioned(std::shared_ptr<const Pictures> pictures,
                                            const DataOptions& options) {
  const ImageCondition condition = parse_condition(options.condition);
  if (condition.computed()) return with_condition(std::move(pictures), condition);
  if (condition.kind == ImageCondition::Kind::kPairs && pictures->condition_channels() == 0) {
    fail_usage("train",
               fmt::format("the pictures come without conditions, so those of {} cannot be "
                           "told which they belong to; give them as pairs",
                           condition.folder));
  }
  return pictures;
}

}  // namespace

RunPictures run_pictures(std::shared_ptr<const Pictures> pictures, const DataOptions& options) {
  if (options.validation == 0) return {.training = conditioned(std::move(pictures), options)};
  HeldOut parts = hold_out(std::move(pictures), options.validation);
  return {.training = conditioned(std::move(parts.training), options),
          .held_out = conditioned(std::move(parts.held_out), options),
          .training_numbers = std::move(parts.training_numbers),
          .hashes = std::move(parts.hashes)};
}

RunPictures pictures_of_run(const std::string& run, SourceEvents events) {
  const RunConfig config = read_run_config(run, [](const std::string&) {});
  DataOptions options = config.options.data;
  if (options.validation == 0) {
    fail_usage(
        "train",
        fmt::format("{} was trained without --validation, so it holds no pictures out", run));
  }
  if (options.source.empty())
    fail_usage("train", fmt::format("the pictures of {} came from a program", run));
  const DataFingerprint known = read_data_index(run, config);
  PictureIndex index = read_picture_index(run);
  const std::shared_ptr<const Pictures> pictures = pictures_from_source(std::move(events))(
      {.directory = run, .resumed = false, .options = options, .known = known, .index = index});
  const std::string changes = changes_of_data(config, known, pictures->fingerprint());
  if (!changes.empty()) {
    fail_usage("train", fmt::format("the pictures are not those that {} was trained on, so it is "
                                    "not known which it held out: {}",
                                    run, changes));
  }
  return run_pictures(pictures, options);
}

}  // namespace ddpm
