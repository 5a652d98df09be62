#include "ddpm/nn/unet/recognise.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"
#include "ddpm/nn/checks.h"

namespace ddpm {
namespace {

// A width as a multiple of dim. `path` names the tensor that has it.
int64_t multiple_of_dim(const std::string& path, int64_t width, int64_t dim) {
  if (dim < 1 || width % dim != 0) {
    fail("model",
         fmt::format("{} has {} output channels, not a multiple of dim {}", path, width, dim));
  }
  return width / dim;
}

}  // namespace

std::vector<int64_t> read_dim_mults(const StateDictShapes& shapes, const std::string& levels,
                                    int64_t dim, const char* whose) {
  std::vector<int64_t> mults;
  for (int64_t level = 0; level < kMostLevels; ++level) {
    const std::string path = fmt::format("{}.{}.3.", levels, level);
    const bool last = shapes.contains(path + "weight");
    const std::string weight = path + (last ? "weight" : "1.weight");
    mults.push_back(multiple_of_dim(weight, shape_of(shapes, weight, 4, whose)[3], dim));
    if (last) return mults;
  }
  fail("model", fmt::format("{} has more than {} levels", levels, kMostLevels));
}

int64_t read_classes(const StateDictShapes& shapes, const char* whose) {
  const std::string weight = "class_embedding.weight";
  return shapes.contains(weight) ? shape_of(shapes, weight, 2, whose)[0] - 1 : 0;
}

int64_t read_augment_channels(const StateDictShapes& shapes, const char* whose) {
  const std::string weight = "time_mlp.map_augment.weight";
  return shapes.contains(weight) ? shape_of(shapes, weight, 2, whose)[0] : 0;
}

int64_t read_channels(int64_t inputs, const JsonObject& given, bool& self_condition) {
  if (const std::string* json = given.find("self_condition"))
    json_value::read(*json, "self_condition", self_condition);
  if (!self_condition) return inputs;
  if (inputs % 2 != 0) {
    fail_usage("model",
               fmt::format("--self-condition does not fit the weights: the network takes {} "
                           "channels, which is odd; leave it out",
                           inputs));
  }
  return inputs / 2;
}

void check_given_self_condition(const JsonObject& given, bool self_condition) {
  const std::string* json = given.find("self_condition");
  if (json == nullptr) return;
  bool asked = self_condition;
  json_value::read(*json, "self_condition", asked);
  if (asked == self_condition) return;
  fail_usage("network", fmt::format("--self-condition does not fit the weights, which are of a "
                                    "network {} it; leave it out",
                                    self_condition ? "with" : "without"));
}

}  // namespace ddpm
