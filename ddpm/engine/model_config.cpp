#include "ddpm/engine/model_config.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"

namespace ddpm {

void ModelConfig::fields(Fields& field) {
  constexpr double kMostChannels = 1 << 20;
  network.fields(field);
  field.group("The pictures");
  field("channels", network.channels(), "channels of the images").range(1, kMostChannels);
  field("output_dim", network.output_dim(), "channels of the output, 0 for the same as the images")
      .range(0, kMostChannels);
  field("height", height, "height of the images in pixels, 0 for unknown").range(0, kLargestSide);
  field("width", width, "width of the images in pixels, 0 for unknown").range(0, kLargestSide);
  process.fields(field);
}

void ModelConfig::check() const {
  network.check();
  check_options("model", *this);
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
