#include "ddpm/engine/run/sample_grid.h"

#include <algorithm>

#include "ddpm/data/batch_sampler.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/pixels.h"
#include "ddpm/engine/run/checked_pictures.h"
#include "ddpm/engine/streams.h"

namespace ddpm {
namespace {

// How many pictures belong to one condition.
int64_t rows_of(const GridContent& content) {
  return std::max<int64_t>(static_cast<int64_t>(content.labels.size()), 1);
}

}  // namespace

GridContent grid_content(const Pictures& pictures, int64_t classes, int64_t wanted, uint64_t seed) {
  constexpr int64_t kMostRows = 16;
  GridContent content;
  const int64_t shown = std::min({classes, kMostRows, wanted});
  for (int64_t row = 0; row < shown; ++row) content.labels.push_back(row * classes / shown);
  const int64_t rows = rows_of(content);
  content.count = (wanted + rows - 1) / rows;
  if (pictures.condition_channels() > 0) {
    BatchSampler sampler({.images = pictures.size(),
                          .batch = content.count,
                          .seed = seed_of(seed, Stream::kGridPictures)});
    content.conditions = checked_batch(pictures, sampler.at(0)).condition;
  }
  return content;
}

Tensor grid_picture(const GridContent& content, const Tensor& images) {
  GridOptions grid{.columns = content.labels.empty() ? 0 : content.count,
                   .scale = comfortable_scale(ImageSize{images.size(1), images.size(2)})};
  if (!content.conditions.defined()) return make_grid(images, grid);
  grid.columns = columns_of_groups(content.count, rows_of(content) + 1);
  return make_grid(beside_conditions(to_bytes(content.conditions), images), grid);
}

}  // namespace ddpm
