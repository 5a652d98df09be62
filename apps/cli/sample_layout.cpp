#include "apps/cli/sample_layout.h"

#include <algorithm>

#include "apps/cli/outputs.h"
#include "apps/cli/trajectory.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/image.h"

namespace ddpm::cli {
namespace {

// One row for each class of --class. Without --class, one column for each class.
int64_t columns_for(const SampleFlags& request, const ModelConfig& config) {
  constexpr int64_t kMostColumns = 20;
  if (request.columns > 0) return request.columns;
  const GenerateOptions& options = request.generate;
  if (!options.labels.empty()) return options.labels.size() > 1 ? options.count : 0;
  const int64_t classes = config.network.classes();
  return classes > 1 && classes <= std::min(kMostColumns, options.count) ? classes : 0;
}

double floats_of_all(const SampleLayout& layout) {
  return static_cast<double>(layout.image.elements()) * static_cast<double>(layout.count);
}

int64_t frames_of(const SampleFlags& request) {
  return Trajectory::frames(request.generate.sampling.steps);
}

}  // namespace

SampleLayout lay_out(const SampleFlags& request, const ModelConfig& config, const Inputs* inputs,
                     bool alone) {
  const GenerateOptions& options = request.generate;
  SampleLayout layout{.image = {options.height, options.width, config.network.channels()},
                      .count = options.total()};
  layout.shown = layout.count;
  layout.channels = layout.image[2];
  if (alone) {
    layout.plain = layout.grid = {.columns = 1, .scale = 1, .gap = 0};
    return layout;
  }
  layout.columns = columns_for(request, config);
  layout.plain = {.columns = layout.columns,
                  .scale = request.scale > 0 ? request.scale
                                             : comfortable_scale({options.height, options.width})};
  layout.grid = layout.plain;
  if (inputs == nullptr) return layout;
  layout.inputs = inputs->count();
  const int64_t group = 1 + layout.count / layout.inputs;
  layout.shown += layout.inputs;
  layout.channels = std::max(layout.channels, inputs->viewable_channels());
  layout.grid.columns =
      request.columns > 0 ? request.columns * group : columns_of_groups(layout.inputs, group);
  layout.columns = layout.grid.columns / group;
  return layout;
}

void check_sizes(const SampleFlags& request, const SampleLayout& layout) {
  const ImageSize picture{layout.image[0], layout.image[1]};
  if (!request.out.empty()) {
    const ImageSize size = grid_size(layout.shown, picture, layout.grid);
    check_picture_output("--out", size, kMostPngSide, memory_of(size, layout.channels));
  }
  if (!request.trajectory.empty()) {
    const ImageSize size = grid_size(layout.count, picture, layout.plain);
    check_picture_output("--trajectory", size, kMostWebpSide,
                         static_cast<double>(frames_of(request)) *
                             (floats_of_all(layout) + memory_of(size, layout.image[2])));
  }
}

int64_t bytes_of_outputs(const SampleFlags& request, const SampleLayout& layout) {
  constexpr double kMost = 1e18;
  const ImageSize picture{layout.image[0], layout.image[1]};
  double bytes = 0;
  if (!request.out.empty())
    bytes += memory_of(grid_size(layout.shown, picture, layout.grid), layout.channels);
  if (!request.trajectory.empty()) {
    const double one = memory_of(grid_size(layout.count, picture, layout.plain), layout.image[2]);
    bytes += static_cast<double>(frames_of(request)) * (floats_of_all(layout) + one);
  }
  if (!request.tensors.empty()) {
    const auto states = static_cast<double>(request.generate.sampling.steps + 1);
    // Each is in memory a second time while it is written.
    bytes += 8 * floats_of_all(layout) * (request.every_step ? 1 + states : 1);
  }
  return static_cast<int64_t>(std::min(bytes, kMost));
}

}  // namespace ddpm::cli
