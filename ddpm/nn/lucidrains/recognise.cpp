#include "ddpm/nn/lucidrains/recognise.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/nn/checks.h"
#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/unet/recognise.h"

namespace ddpm::lucidrains {
namespace {

constexpr const char* kWhose = "the network of lucidrains";

Shape find(const StateDictShapes& shapes, const std::string& name, int rank) {
  return shape_of(shapes, name, rank, kWhose);
}

// One number for all levels if they are equal.
std::vector<int64_t> shortened(const std::vector<int64_t>& values) {
  const bool equal = std::all_of(values.begin(), values.end(),
                                 [&](int64_t value) { return value == values.front(); });
  return equal ? std::vector<int64_t>{values.front()} : values;
}

void read_levels(const StateDictShapes& shapes, UnetConfig& config) {
  std::vector<int64_t> heads, dim_head, full;
  config.dim_mults = read_dim_mults(shapes, "downs", config.dim, kWhose);
  for (int64_t level = 0; level < config.levels(); ++level) {
    const std::string path = fmt::format("downs.{}.", level);
    full.push_back(shapes.contains(path + "2.to_out.weight"));
    const Shape memory = find(shapes, path + "2.mem_kv", 4);
    heads.push_back(memory[1]);
    dim_head.push_back(memory[full.back() ? 3 : 2]);
    config.mem_kv = memory[full.back() ? 2 : 3];
  }
  config.heads = shortened(heads);
  config.dim_head = shortened(dim_head);
  config.full_attn = shortened(full);
  const bool last_alone = std::count(full.begin(), full.end(), 1) == 1 && full.back() == 1;
  if (last_alone) config.full_attn.clear();
}

}  // namespace

std::optional<NetworkConfig> recognise(const StateDictShapes& shapes, const JsonObject& given) {
  const bool is_lucidrains =
      shapes.contains("init_conv.weight") && shapes.contains("downs.0.0.block1.norm.g");
  if (!is_lucidrains) return std::nullopt;
  UnetConfig config;
  const Shape init_conv = find(shapes, "init_conv.weight", 4);  // [7, 7, in, out]
  const Shape hidden = find(shapes, "time_mlp.3.weight", 2);    // [4 dim, 4 dim]
  config.dim = hidden[0] / 4;
  if (init_conv[3] != config.dim) config.init_dim = init_conv[3];
  // Whether there is an earlier estimate is ambiguous if the network also predicts a variance.
  const int64_t inputs = init_conv[2], outputs = find(shapes, "final_conv.weight", 4)[3];
  config.self_condition = inputs == 2 * outputs;
  config.channels = read_channels(inputs, given, config.self_condition);
  if (outputs != config.channels) config.output_dim = outputs;
  read_levels(shapes, config);
  config.classes = read_classes(shapes, kWhose);
  config.augment_channels = read_augment_channels(shapes, kWhose);
  if (shapes.contains("time_mlp.0.weights")) {
    config.learned_sinusoidal_cond = true;
    config.learned_sinusoidal_dim = 2 * find(shapes, "time_mlp.0.weights", 1)[0];
  }
  config.take_given(given);
  return config;
}

}  // namespace ddpm::lucidrains
