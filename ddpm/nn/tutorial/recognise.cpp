#include "ddpm/nn/tutorial/recognise.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/nn/checks.h"
#include "ddpm/nn/tutorial/options.h"
#include "ddpm/nn/unet/recognise.h"

namespace ddpm::tutorial {

constexpr const char* kWhose = "the tutorial's network";

namespace {

// Empty if all levels have an attention.
std::vector<int64_t> read_attention_levels(const StateDictShapes& shapes, int64_t levels) {
  std::vector<int64_t> found;
  for (int64_t level = 0; level < levels; ++level) {
    found.push_back(
        shapes.contains(fmt::format("down_layers.{}.2.func.func.input_to_qkv.weight", level)));
  }
  return std::ranges::all_of(found, [](int64_t has) { return has != 0; }) ? std::vector<int64_t>{}
                                                                          : found;
}

}  // namespace

std::optional<NetworkConfig> recognise(const StateDictShapes& shapes, const JsonObject& given) {
  const auto level = shapes.lower_bound("down_layers.");
  const bool is_tutorial = shapes.contains("time_mlp.1.weight") &&
                           shapes.contains("init_conv.weight") &&
                           shapes.contains("final_conv.weight") && level != shapes.end() &&
                           level->first.starts_with("down_layers.");
  if (!is_tutorial) return std::nullopt;
  UnetConfig config;
  config.dim = shape_of(shapes, "time_mlp.1.weight", 2, kWhose)[0];
  config.channels = read_channels(shape_of(shapes, "init_conv.weight", 4, kWhose)[2], given,
                                  config.self_condition);
  config.init_dim = shape_of(shapes, "init_conv.weight", 4, kWhose)[3];
  config.output_dim = shape_of(shapes, "final_conv.weight", 4, kWhose)[3];
  config.dim_mults = read_dim_mults(shapes, "down_layers", config.dim, kWhose);
  config.attention_levels = read_attention_levels(shapes, config.levels());
  config.classes = read_classes(shapes, kWhose);
  config.augment_channels = read_augment_channels(shapes, kWhose);
  const Shape& qkv = shape_of(shapes, "mid_attention.func.func.input_to_qkv.weight", 4, kWhose);
  const int64_t heads = config.heads;
  config.heads = 1;
  config.dim_head = qkv[3] / 3;
  JsonObject all = given;
  if (given.find("heads") == nullptr && given.find("dim_head") == nullptr) {
    all.set("heads", json_value::write(heads));
  }
  config.take_given(all);
  return config;
}

}  // namespace ddpm::tutorial
