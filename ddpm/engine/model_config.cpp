#include "ddpm/engine/model_config.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/data/condition.h"

namespace ddpm {
namespace {

// Throws UsageError if the condition and the network's channels for it do not fit together.
void check_condition(const ModelConfig& config) {
  const ImageCondition shown = condition_of_model(config.condition);
  const int64_t has = config.network.condition_channels();
  const bool any = shown.kind != ImageCondition::Kind::kNone;
  const int64_t needs = shown.computed() ? channels_of(shown, config.network.channels())
                        : any            ? has
                                         : 0;
  if (has == needs && (has > 0) == any) return;
  fail_usage("model", fmt::format("condition is {} with {} condition channels; {} would fit",
                                  config.condition, has, any ? std::max<int64_t>(needs, 1) : 0));
}

}  // namespace

void ModelConfig::fields(Fields& field) {
  constexpr double kMostChannels = 1 << 20;
  network.fields(field);
  field.group("The pictures");
  field("channels", network.channels(), "channels of the images").range(1, kMostChannels);
  field("output_dim", network.output_dim(), "channels of the output, 0 for the same as the images")
      .range(0, kMostChannels);
  network.condition_fields(field);
  field("condition", condition, "what the condition shows: none, downscale:N, grey or pairs");
  field("height", height, "height of the images in pixels, 0 for unknown").range(0, kLargestSide);
  field("width", width, "width of the images in pixels, 0 for unknown").range(0, kLargestSide);
  process.fields(field);
}

void ModelConfig::check() const {
  network.check();
  check_options("model", *this);
  check_condition(*this);
  if (height > 0 && width > 0) network.check_image(height, width);
}

std::string to_json(const ModelConfig& config, int indent) {
  JsonObject object;
  write_options(config, object);
  return object.dump(indent);
}

ModelConfig model_config_from_json(std::string_view json, std::string_view what) {
  const JsonObject object = JsonObject::parse(json, what);
  ModelConfig config;
  try {
    read_options(object, config);
  } catch (const Error& error) {
    // Also a UsageError becomes an Error: the file is wrong, not the request.
    fail("model", fmt::format("{}: {}", what, without_place(error.what())));
  }
  return config;
}

}  // namespace ddpm
