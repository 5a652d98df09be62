#include "ddpm/nn/checks.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"

namespace ddpm {

void check_width(const char* name, int64_t width) {
  if (width >= 1 && width <= kMostChannels) return;
  fail_usage("network",
             fmt::format("{} is {} but must lie between 1 and {}", name, width, kMostChannels));
}

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

const Shape& shape_of(const StateDictShapes& shapes, const std::string& name, int rank,
                      const char* whose) {
  const auto found = shapes.find(name);
  if (found == shapes.end() || found->second.rank() != rank) {
    fail("model", fmt::format("there is no tensor {} of {} axes, which {} has", name, rank, whose));
  }
  return found->second;
}

int64_t multiple_of_dim(const std::string& path, int64_t width, int64_t dim) {
  if (dim < 1 || width % dim != 0) {
    fail("model",
         fmt::format("{} has {} output channels, not a multiple of dim {}", path, width, dim));
  }
  return width / dim;
}

}  // namespace ddpm
