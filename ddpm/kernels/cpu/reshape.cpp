// Moving data, a row of pixels at a time and bound by memory. Folding 2 x 2 cells into channels is
// an interleaving of four rows of channels; other sizes, which the network has not, are left to
// ref.

#include <algorithm>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/cpu_backend.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/reshape.cpp"
#include "ddpm/kernels/cpu/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/vector_math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

// The image's pixels [W][C] of two rows, and the row of cells [W / 2][C][4] they fold into.
void fold_rows(const float* upper, const float* lower, int64_t cells, int64_t channels,
               float* folded) {
  for (int64_t q = 0; q < cells; ++q) {
    const float *a = upper + 2 * q * channels, *b = a + channels;
    const float *c = lower + 2 * q * channels, *d = c + channels;
    float* to = folded + 4 * q * channels;
    int64_t i = 0;
    for (; i + kLanes <= channels; i += kLanes) {
      hn::StoreInterleaved4(load(a + i), load(b + i), load(c + i), load(d + i), Floats(),
                            to + 4 * i);
    }
    for (; i < channels; ++i) {
      to[4 * i] = a[i];
      to[4 * i + 1] = b[i];
      to[4 * i + 2] = c[i];
      to[4 * i + 3] = d[i];
    }
  }
}

void unfold_rows(const float* folded, int64_t cells, int64_t channels, float* upper, float* lower) {
  for (int64_t q = 0; q < cells; ++q) {
    float *a = upper + 2 * q * channels, *b = a + channels;
    float *c = lower + 2 * q * channels, *d = c + channels;
    const float* from = folded + 4 * q * channels;
    int64_t i = 0;
    for (; i + kLanes <= channels; i += kLanes) {
      Vec va, vb, vc, vd;
      hn::LoadInterleaved4(Floats(), from + 4 * i, va, vb, vc, vd);
      store(va, a + i);
      store(vb, b + i);
      store(vc, c + i);
      store(vd, d + i);
    }
    for (; i < channels; ++i) {
      a[i] = from[4 * i];
      b[i] = from[4 * i + 1];
      c[i] = from[4 * i + 2];
      d[i] = from[4 * i + 3];
    }
  }
}

struct SumOfFour {
  const float* upper;
  const float* lower;
  int64_t channels;
  float* y;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t c, Lanes lanes) const {
    const Vec above = hn::Add(lanes.load(upper + c), lanes.load(upper + channels + c));
    const Vec below = hn::Add(lanes.load(lower + c), lanes.load(lower + channels + c));
    lanes.store(hn::Add(above, below), y + c);
  }
};

void sum_cells(const float* upper, const float* lower, int64_t cells, int64_t channels, float* y) {
  for (int64_t q = 0; q < cells; ++q) {
    const int64_t at = 2 * q * channels;
    for_each_vector(channels, SumOfFour{upper + at, lower + at, channels, y + q * channels});
  }
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm {
namespace cpu {
namespace {

DDPM_SIMD_TABLE(fold_rows);
DDPM_SIMD_TABLE(unfold_rows);
DDPM_SIMD_TABLE(sum_cells);

// Calls body(row) for each of `rows` rows of `size` elements, on as many threads as they are worth.
template <class Body>
void for_each_row(int64_t rows, int64_t size, const Body& body) {
  parallel_for(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(size, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) body(row);
               });
}

}  // namespace
}  // namespace cpu

void CpuBackend::space_to_depth(int64_t size, const Tensor& x, Tensor& y) {
  if (size != 2) return RefBackend::space_to_depth(size, x, y);
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::fold_rows);
  const int64_t cells = y.size(2), channels = x.size(3), row_size = x.size(2) * channels;
  const float* from = x.f32();
  float* to = y.f32();
  cpu::for_each_row(y.size(0) * y.size(1), 2 * row_size, [&](int64_t row) {
    const float* upper = from + 2 * row * row_size;
    kernel(upper, upper + row_size, cells, channels, to + 2 * row * row_size);
  });
}

void CpuBackend::depth_to_space(int64_t size, const Tensor& x, Tensor& y) {
  if (size != 2) return RefBackend::depth_to_space(size, x, y);
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::unfold_rows);
  const int64_t cells = x.size(2), channels = y.size(3), row_size = y.size(2) * channels;
  const float* from = x.f32();
  float* to = y.f32();
  cpu::for_each_row(x.size(0) * x.size(1), 2 * row_size, [&](int64_t row) {
    float* upper = to + 2 * row * row_size;
    kernel(from + 2 * row * row_size, cells, channels, upper, upper + row_size);
  });
}

void CpuBackend::upsample_nearest(const Tensor& x, Tensor& y) {
  const int64_t W = x.size(2), C = x.size(3);
  const float* from = x.f32();
  float* to = y.f32();
  cpu::for_each_row(x.size(0) * x.size(1), 4 * W * C, [&](int64_t row) {
    float* upper = to + row * 4 * W * C;
    for (int64_t w = 0; w < W; ++w) {
      const float* pixel = from + (row * W + w) * C;
      std::copy_n(pixel, C, upper + 2 * w * C);
      std::copy_n(pixel, C, upper + (2 * w + 1) * C);
    }
    std::copy_n(upper, 2 * W * C, upper + 2 * W * C);
  });
}

void CpuBackend::upsample_nearest_backward(const Tensor& dy, Tensor& dx) {
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::sum_cells);
  const int64_t W = dx.size(2), C = dx.size(3);
  const float* from = dy.f32();
  float* to = dx.f32();
  cpu::for_each_row(dx.size(0) * dx.size(1), 4 * W * C, [&](int64_t row) {
    const float* upper = from + row * 4 * W * C;
    kernel(upper, upper + 2 * W * C, W, C, to + row * W * C);
  });
}

void CpuBackend::concat_channels(const Tensor& a, const Tensor& b, Tensor& y) {
  const int64_t A = a.size(-1), B = b.size(-1);
  const float *left = a.f32(), *right = b.f32();
  float* to = y.f32();
  cpu::for_each_row(y.elements() / std::max<int64_t>(A + B, 1), A + B, [&](int64_t p) {
    std::copy_n(left + p * A, A, to + p * (A + B));
    std::copy_n(right + p * B, B, to + p * (A + B) + A);
  });
}

void CpuBackend::split_channels(const Tensor& y, Tensor* a, Tensor* b) {
  const int64_t both = y.size(-1);
  const int64_t A = a ? a->size(-1) : both - b->size(-1), B = both - A;
  const float* from = y.f32();
  float *left = a ? a->f32() : nullptr, *right = b ? b->f32() : nullptr;
  cpu::for_each_row(y.elements() / std::max<int64_t>(both, 1), both, [&](int64_t p) {
    if (left) std::copy_n(from + p * both, A, left + p * A);
    if (right) std::copy_n(from + p * both + A, B, right + p * B);
  });
}

}  // namespace ddpm
#endif
