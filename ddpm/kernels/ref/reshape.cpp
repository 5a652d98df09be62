// Moving data: every output element is a copy (or, backwards, a sum of four).

#include <algorithm>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

// Calls function(image element, folded element) for each element of an image [N, H, W, C] and its
// place in [N, H/s, W/s, C s s].
template <class Function>
void for_each_fold(int64_t s, const Tensor& image, Function&& function) {
  const int64_t N = image.size(0), H = image.size(1), W = image.size(2), C = image.size(3);
  for (int64_t row = 0; row < N * H; ++row) {
    const int64_t n = row / H, h = row % H;
    for (int64_t w = 0; w < W; ++w) {
      const int64_t cell = ((n * (H / s) + h / s) * (W / s) + w / s) * C;
      for (int64_t c = 0; c < C; ++c) {
        function((row * W + w) * C + c, ((cell + c) * s + h % s) * s + w % s);
      }
    }
  }
}

}  // namespace

void RefBackend::run(const op::SpaceToDepth& o) {
  const float* from = o.x.f32();
  float* to = o.y.f32();
  for_each_fold(o.size, o.x, [&](int64_t flat, int64_t folded) { to[folded] = from[flat]; });
}

void RefBackend::run(const op::DepthToSpace& o) {
  const float* from = o.x.f32();
  float* to = o.y.f32();
  for_each_fold(o.size, o.y, [&](int64_t flat, int64_t folded) { to[flat] = from[folded]; });
}

void RefBackend::run(const op::UpsampleNearest& o) {
  const int64_t H = o.x.size(1), W = o.x.size(2), C = o.x.size(3);
  const float* from = o.x.f32();
  float* to = o.y.f32();
  for (int64_t row = 0; row < o.x.size(0) * 2 * H; ++row) {
    const int64_t n = row / (2 * H), h = row % (2 * H) / 2;
    for (int64_t w = 0; w < 2 * W; ++w) {
      std::copy_n(from + ((n * H + h) * W + w / 2) * C, C, to + (row * 2 * W + w) * C);
    }
  }
}

void RefBackend::run(const op::UpsampleNearestBackward& o) {
  const int64_t W = o.dx.size(2), C = o.dx.size(3);
  const float* from = o.dy.f32();
  float* to = o.dx.f32();
  for (int64_t row = 0; row < o.dx.size(0) * o.dx.size(1); ++row) {
    for (int64_t w = 0; w < W; ++w) {
      const float* above = from + (2 * row * 2 * W + 2 * w) * C;
      const float* below = above + 2 * W * C;
      for (int64_t c = 0; c < C; ++c) {
        to[(row * W + w) * C + c] =
            static_cast<float>(double{above[c]} + above[C + c] + below[c] + below[C + c]);
      }
    }
  }
}

void RefBackend::run(const op::ConcatChannels& o) {
  const int64_t A = o.a.size(-1), B = o.b.size(-1);
  const float *left = o.a.f32(), *right = o.b.f32();
  float* to = o.y.f32();
  for (int64_t p = 0; p < o.y.elements() / std::max<int64_t>(A + B, 1); ++p) {
    std::copy_n(left + p * A, A, to + p * (A + B));
    std::copy_n(right + p * B, B, to + p * (A + B) + A);
  }
}

void RefBackend::run(const op::SplitChannels& o) {
  const int64_t both = o.y.size(-1);
  const int64_t A = o.a ? o.a->size(-1) : both - o.b->size(-1), B = both - A;
  const float* from = o.y.f32();
  for (int64_t p = 0; p < o.y.elements() / std::max<int64_t>(both, 1); ++p) {
    if (o.a) std::copy_n(from + p * both, A, o.a->f32() + p * A);
    if (o.b) std::copy_n(from + p * both + A, B, o.b->f32() + p * B);
  }
}

}  // namespace ddpm
