#include "ddpm/nn/lucidrains/recognise.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/nn/checks.h"
#include "ddpm/nn/lucidrains/options.h"

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
  config.dim_mults.clear();
  for (int64_t level = 0; level < kMostLevels; ++level) {
    const std::string path = fmt::format("downs.{}.", level);
    const bool last = shapes.contains(path + "3.weight");
    const std::string next = path + (last ? "3.weight" : "3.1.weight");
    config.dim_mults.push_back(multiple_of_dim(next, find(shapes, next, 4)[3], config.dim));
    full.push_back(shapes.contains(path + "2.to_out.weight"));
    const Shape memory = find(shapes, path + "2.mem_kv", 4);
    heads.push_back(memory[1]);
    dim_head.push_back(memory[full.back() ? 3 : 2]);
    config.mem_kv = memory[full.back() ? 2 : 3];
    if (last) break;
  }
  config.heads = shortened(heads);
  config.dim_head = shortened(dim_head);
  config.full_attn = shortened(full);
  const bool last_alone = std::count(full.begin(), full.end(), 1) == 1 && full.back() == 1;
  if (last_alone) config.full_attn.clear();
}

// Reads what the channels of the first and the last convolution tell. Whether there is an earlier
// estimate is ambiguous if the network also predicts a variance, so `given` may say it.
void read_channels(int64_t inputs, int64_t outputs, const JsonObject& given, UnetConfig& config) {
  config.self_condition = inputs == 2 * outputs;
  if (const std::string* json = given.find("self_condition"))
    json_value::read(*json, "self_condition", config.self_condition);
  if (config.self_condition && inputs % 2 != 0) {
    fail_usage("model",
               fmt::format("--self-condition does not fit the weights: the network takes {} "
                           "channels, which is odd; leave it out",
                           inputs));
  }
  config.channels = config.self_condition ? inputs / 2 : inputs;
  if (outputs != config.channels) config.output_dim = outputs;
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
  read_channels(init_conv[2], find(shapes, "final_conv.weight", 4)[3], given, config);
  read_levels(shapes, config);
  if (shapes.contains("class_embedding.weight"))
    config.classes = find(shapes, "class_embedding.weight", 2)[0] - 1;
  if (shapes.contains("time_mlp.0.weights")) {
    config.learned_sinusoidal_cond = true;
    config.learned_sinusoidal_dim = 2 * find(shapes, "time_mlp.0.weights", 1)[0];
  }
  config.take_given(given);
  return config;
}

}  // namespace ddpm::lucidrains
