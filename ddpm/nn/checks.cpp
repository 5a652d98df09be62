#include "ddpm/nn/checks.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"

namespace ddpm {

void check_width(const char* name, int64_t width) {
  if (width >= 1 && width <= kMostChannels) return;
  fail_usage("network",
             fmt::format("{} is {} but must lie between 1 and {}", name, width, kMostChannels));
}

const Shape& shape_of(const StateDictShapes& shapes, const std::string& name, int rank,
                      const char* whose) {
  const auto found = shapes.find(name);
  if (found == shapes.end() || found->second.rank() != rank) {
    fail("model", fmt::format("there is no tensor {} of {} axes, which {} has", name, rank, whose));
  }
  return found->second;
}

}  // namespace ddpm
