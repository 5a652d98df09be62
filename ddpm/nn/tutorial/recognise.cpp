#include "ddpm/nn/tutorial/recognise.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"
#include "ddpm/nn/tutorial/unet.h"

namespace ddpm::tutorial {
namespace {

constexpr int kMostLevels = 16;

const Shape& shape_of(const StateDictShapes& shapes, const std::string& name, int rank) {
  const auto found = shapes.find(name);
  if (found == shapes.end() || found->second.rank() != rank) {
    fail("model", fmt::format("there is no tensor {} of {} axes, which the tutorial's network has",
                              name, rank));
  }
  return found->second;
}

// The width of each level as a multiple of dim.
std::vector<int64_t> read_dim_mults(const StateDictShapes& shapes, int64_t dim) {
  std::vector<int64_t> mults;
  for (int level = 0; level < kMostLevels; ++level) {
    const std::string path = fmt::format("down_layers.{}.3.", level);
    const bool last = shapes.contains(path + "weight");
    const int64_t width = shape_of(shapes, path + (last ? "weight" : "1.weight"), 4)[3];
    if (dim < 1 || width % dim != 0) {
      fail("model",
           fmt::format("{} has {} output channels, not a multiple of dim {}", path, width, dim));
    }
    mults.push_back(width / dim);
    if (last) return mults;
  }
  fail("model", fmt::format("down_layers has more than {} levels", kMostLevels));
}

}  // namespace

std::optional<NetworkConfig> recognise(const StateDictShapes& shapes, const JsonObject& given) {
  const bool is_tutorial = shapes.contains("time_mlp.1.weight") &&
                           shapes.contains("init_conv.weight") &&
                           shapes.contains("final_conv.weight");
  if (!is_tutorial) return std::nullopt;
  UnetConfig config;
  config.dim = shape_of(shapes, "time_mlp.1.weight", 2)[0];
  config.channels = shape_of(shapes, "init_conv.weight", 4)[2];
  config.init_dim = shape_of(shapes, "init_conv.weight", 4)[3];
  config.output_dim = shape_of(shapes, "final_conv.weight", 4)[3];
  config.dim_mults = read_dim_mults(shapes, config.dim);
  const Shape& qkv = shape_of(shapes, "mid_attention.func.func.input_to_qkv.weight", 4);
  const int64_t heads = config.heads;
  config.heads = 1;
  config.dim_head = qkv[3] / 3;
  JsonObject all = given;
  if (given.find("heads") == nullptr) all.set("heads", json_value::write(heads));
  config.take_given(all);
  return config;
}

}  // namespace ddpm::tutorial
