#include "ddpm/engine/run/run_pictures.h"

#include <fmt/core.h>

#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/held_out.h"
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
  if (options.validation == 0)
    return {.training = conditioned(std::move(pictures), options), .held_out = {}, .hashes = {}};
  HeldOut parts = hold_out(std::move(pictures), options.validation);
  return {.training = conditioned(std::move(parts.training), options),
          .held_out = conditioned(std::move(parts.held_out), options),
          .hashes = std::move(parts.hashes)};
}

RunPictures pictures_of_run(const std::string& run, SourceEvents events) {
  const RunConfig config = read_run_config(run, [](const std::string&) {});
  DataOptions options = config.options.data;
  if (options.validation == 0) {
    fail_usage("train", fmt::format("{} was trained without --validation, so it holds no pictures "
                                    "out",
                                    run));
  }
  const DataFingerprint known = read_data_index(run, config);
  return run_pictures(pictures_from_source(std::move(events))(
                          {.directory = run, .resumed = true, .options = options, .known = known}),
                      options);
}

}  // namespace ddpm
