#include "ddpm/nn/unet/options.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"
#include "ddpm/nn/checks.h"
#include "ddpm/nn/class_embedding.h"

namespace ddpm {

void check_sides(int64_t height, int64_t width, int64_t levels) {
  const int64_t divisor = int64_t{1} << (levels - 1);
  constexpr int64_t kHighest = 1 << 20;
  for (const auto& [name, side] : {std::pair{"height", height}, std::pair{"width", width}}) {
    if (side > kHighest) {
      fail_usage("network",
                 fmt::format("the image's {} is {}; it must be at most {}", name, side, kHighest));
    }
    if (side >= divisor && side % divisor == 0) continue;
    const int64_t below = side / divisor * divisor;
    fail_usage("network",
               fmt::format("the image's {} {} is not divisible by {}, which {} levels "
                           "need; {}{} would work, or fewer "
                           "levels in dim_mults",
                           name, side, divisor, levels,
                           below > 0 ? fmt::format("{} or ", below) : "", below + divisor));
  }
}

void check_count(const char* name, const std::vector<int64_t>& values, int64_t levels) {
  const auto count = static_cast<int64_t>(values.size());
  if (count == 1 || count == levels) return;
  fail_usage("network", fmt::format("{} has {} numbers for {} levels; give one for each level, or "
                                    "one for all",
                                    name, count, levels));
}

std::vector<int64_t> UnetOptions::widths() const {
  std::vector<int64_t> all = {first_width()};
  for (const int64_t mult : dim_mults) all.push_back(dim * mult);
  return all;
}

void UnetOptions::check() const {
  check_width("channels", channels);
  if (output_dim != 0) check_width("output_dim", output_dim);
  if (condition_channels != 0) check_width("condition_channels", condition_channels);
  check_classes(classes);
  if (augment_channels != 0) check_width("augment_channels", augment_channels);
  for (const int64_t width : widths()) check_width("dim times each of dim_mults", width);
}

void level_fields(Fields& field, std::vector<int64_t>& dim_mults, int64_t& init_dim) {
  field("dim_mults", dim_mults,
        "width of each level as a multiple of dim; one level more halves the sides once more")
      .range(1, kMostChannels)
      .elements(1, kMostLevels)
      .advice("1,2,4,8 is usual");
  field("init_dim", init_dim, "width after the first convolution, 0 for dim")
      .range(0, kMostChannels);
}

void dropout_field(Fields& field, double& dropout) {
  field("dropout", dropout, "share of each block's activations that a training step leaves out")
      .range_below(0, 1)
      .advice("0.1 is usual");
}

void self_condition_field(Fields& field, bool& self_condition) {
  field("self_condition", self_condition, "take an earlier estimate of the image as well")
      .not_in_state_dict();
}

}  // namespace ddpm
