// What the sample grids of a training show, and how it is laid out. Private to this room.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The same in all grids of a run.
struct GridContent {
  // The pictures of each class, or of all if there are no classes.
  int64_t count = 0;
  // All classes, or some that are evenly spread if there are many. One row for each.
  std::vector<int64_t> labels;
  // [count, H, W, condition channels]. Undefined if there are none.
  Tensor conditions;
};

// seed: that of the run. `wanted` pictures in all, or slightly more, so that the rows are full.
GridContent grid_content(const Pictures& pictures, int64_t classes, int64_t wanted, uint64_t seed);

// images: the bytes of the pictures in the order of generate(). Returns [H, W, C].
Tensor grid_picture(const GridContent& content, const Tensor& images);

}  // namespace ddpm
