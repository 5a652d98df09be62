#include "ddpm/engine/model_config.h"

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
  ModelConfig config;
  read_options(JsonObject::parse(json, what), config);
  return config;
}

}  // namespace ddpm
