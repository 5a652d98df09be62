#include "ddpm/nn/tutorial/recognise.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"
#include "ddpm/nn/checks.h"
#include "ddpm/nn/tutorial/unet.h"

namespace ddpm::tutorial {
namespace {

constexpr const char* kWhose = "the tutorial's network";

// The width of each level as a multiple of dim.
std::vector<int64_t> read_dim_mults(const StateDictShapes& shapes, int64_t dim) {
  std::vector<int64_t> mults;
  for (int64_t level = 0; level < kMostLevels; ++level) {
    const std::string path = fmt::format("down_layers.{}.3.", level);
    const bool last = shapes.contains(path + "weight");
    const int64_t width = shape_of(shapes, path + (last ? "weight" : "1.weight"), 4, kWhose)[3];
    mults.push_back(multiple_of_dim(path, width, dim));
    if (last) return mults;
  }
  fail("model", fmt::format("down_layers has more than {} levels", kMostLevels));
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
  config.channels = shape_of(shapes, "init_conv.weight", 4, kWhose)[2];
  if (const std::string* json = given.find("self_condition")) {
    json_value::read(*json, "self_condition", config.self_condition);
  }
  if (config.self_condition) {
    if (config.channels % 2 != 0) {
      fail_usage("model",
                 fmt::format("--self-condition does not fit the weights: the network takes "
                             "{} channels, which is odd; leave it out",
                             config.channels));
    }
    config.channels /= 2;
  }
  config.init_dim = shape_of(shapes, "init_conv.weight", 4, kWhose)[3];
  config.output_dim = shape_of(shapes, "final_conv.weight", 4, kWhose)[3];
  config.dim_mults = read_dim_mults(shapes, config.dim);
  if (shapes.contains("class_embedding.weight"))
    config.classes = shape_of(shapes, "class_embedding.weight", 2, kWhose)[0] - 1;
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
