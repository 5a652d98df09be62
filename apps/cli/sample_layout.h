// How ddpm sample lays out its pictures, and what memory that takes.
#pragma once

#include <cstdint>

#include "apps/cli/inputs.h"
#include "apps/cli/sample_flags.h"
#include "ddpm/data/pixels.h"

namespace ddpm::cli {

struct SampleLayout {
  // [H, W, C]
  Shape image;
  int64_t count = 0;
  // In the order of generate(): of the animation, and of the grid if there are no inputs.
  GridOptions plain;
  // Of the grid. With inputs, each stands before its outputs.
  GridOptions grid;
  // What the grid shows, inputs included, and its channels.
  int64_t shown = 0;
  int64_t channels = 0;
  // The inputs that the grid shows.
  int64_t inputs = 0;
  // What --columns would give this grid.
  int64_t columns = 0;

  // The cell of picture k, and of input i.
  int64_t cell(int64_t k) const {
    return inputs == 0 ? k : k % inputs * (1 + count / inputs) + 1 + k / inputs;
  }
  int64_t cell_of_input(int64_t i) const { return i * (1 + count / inputs); }
  // The cells of the grid have the channels of the grid.
  Shape cell_shape() const { return {image[0], image[1], channels}; }
};

// The layout of the pictures. A picture that is made again alone fills its file.
SampleLayout lay_out(const SampleFlags& request, const ModelConfig& config, const Inputs* inputs,
                     bool alone);

// Throws UsageError for a grid or an animation that its format or the memory cannot hold.
void check_sizes(const SampleFlags& request, const SampleLayout& layout);
// The memory of the grid, the animation and the tensors.
int64_t bytes_of_outputs(const SampleFlags& request, const SampleLayout& layout);

}  // namespace ddpm::cli
