#include "apps/cli/trajectory.h"

#include <algorithm>
#include <cmath>

#include "ddpm/data/image.h"

namespace ddpm::cli {

Trajectory::Trajectory(int64_t steps, Shape images) {
  const int64_t last = frames(steps) - 1;
  for (int64_t f = 0; f <= last; ++f) {
    steps_.push_back(std::llround(static_cast<double>(f * steps) / static_cast<double>(last)));
    frames_.emplace_back(images, DType::kUInt8);
  }
}

int64_t Trajectory::frames(int64_t steps) {
  constexpr int64_t kMostFrames = 48;
  return std::min(steps, kMostFrames - 1) + 1;
}

void Trajectory::add(int64_t step, int64_t begin, const Tensor& x) {
  const auto found = std::find(steps_.begin(), steps_.end(), step);
  if (found == steps_.end()) return;
  Tensor& frame = frames_[static_cast<size_t>(found - steps_.begin())];
  frame.rows(begin, begin + x.size(0)).copy_from(to_bytes(x));
}

std::string Trajectory::encode(const GridOptions& grid) const {
  const Tensor first = make_grid(frames_[0], grid);  // [H, W, C]
  const auto count = static_cast<int64_t>(frames_.size());
  Tensor film({count, first.size(0), first.size(1), first.size(2)}, DType::kUInt8);
  AnimationOptions animation{.durations_ms = std::vector<int64_t>(frames_.size(), 60),
                             .lossless = false};
  animation.durations_ms.back() = 2000;
  for (int64_t f = 0; f < count; ++f) {
    Tensor rows = film.rows(f, f + 1);
    rows.copy_from(make_grid(frames_[static_cast<size_t>(f)], grid)
                       .reshape({1, film.size(1), film.size(2), film.size(3)}));
  }
  return encode_webp(film, animation);
}

}  // namespace ddpm::cli
