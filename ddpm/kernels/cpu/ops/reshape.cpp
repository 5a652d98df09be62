// Data is moved a row of pixels at a time; memory is the limit. Folding cells of 2 x 2 pixels into
// channels interleaves four rows of channels. The network has no cells of another size, so those
// are left to ref.
#include <algorithm>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/ops/cpu_backend.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/ops/reshape.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
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

void sum_cells(const float* upper, const float* lower, int64_t cells, int64_t channels, float* y) {
  for (int64_t q = 0; q < cells; ++q) {
    const float *a = upper + 2 * q * channels, *b = a + channels;
    const float *c = lower + 2 * q * channels, *d = c + channels;
    float* to = y + q * channels;
    for_each_vector(channels, [=](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
      const Vec above = hn::Add(lanes.load(a + i), lanes.load(b + i));
      const Vec below = hn::Add(lanes.load(c + i), lanes.load(d + i));
      lanes.store(hn::Add(above, below), to + i);
    });
  }
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

DDPM_SIMD_TABLE(fold_rows);
DDPM_SIMD_TABLE(unfold_rows);
DDPM_SIMD_TABLE(sum_cells);

namespace {

// Calls body(row) for each of `rows` rows of `size` elements, on several threads where the work is
// large enough.
template <class Body>
void for_each_row(int64_t rows, int64_t size, const Body& body) {
  parallel_for(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(size, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) body(row);
               });
}

// Rows are those of all images of a batch, one after the other.

// Pixels [2 rows, 2 columns, channels] and cells [rows, columns, 4 channels], a cell's channel
// 4 c + 2 i + j being channel c of its pixel (i, j).
void fold_cells(int64_t rows, int64_t columns, int64_t channels, const float* pixels,
                float* cells) {
  const auto kernel = DDPM_SIMD_CHOOSE(fold_rows);
  const int64_t row_size = 2 * columns * channels;  // of pixels
  for_each_row(rows, 2 * row_size, [&](int64_t row) {
    const float* upper = pixels + 2 * row * row_size;
    kernel(upper, upper + row_size, columns, channels, cells + 2 * row * row_size);
  });
}

void unfold_cells(int64_t rows, int64_t columns, int64_t channels, const float* cells,
                  float* pixels) {
  const auto kernel = DDPM_SIMD_CHOOSE(unfold_rows);
  const int64_t row_size = 2 * columns * channels;  // of pixels
  for_each_row(rows, 2 * row_size, [&](int64_t row) {
    float* upper = pixels + 2 * row * row_size;
    kernel(cells + 2 * row * row_size, columns, channels, upper, upper + row_size);
  });
}

// Nearest neighbour: y [2 rows, 2 columns, channels] from x [rows, columns, channels].
void upsample(int64_t rows, int64_t columns, int64_t channels, const float* x, float* y) {
  const int64_t W = columns, C = channels;
  for_each_row(rows, 4 * W * C, [&](int64_t row) {
    float* upper = y + row * 4 * W * C;
    for (int64_t w = 0; w < W; ++w) {
      const float* pixel = x + (row * W + w) * C;
      std::copy_n(pixel, C, upper + 2 * w * C);
      std::copy_n(pixel, C, upper + (2 * w + 1) * C);
    }
    std::copy_n(upper, 2 * W * C, upper + 2 * W * C);
  });
}

void upsample_backward(int64_t rows, int64_t columns, int64_t channels, const float* dy,
                       float* dx) {
  const auto kernel = DDPM_SIMD_CHOOSE(sum_cells);
  const int64_t W = columns, C = channels;
  for_each_row(rows, 4 * W * C, [&](int64_t row) {
    const float* upper = dy + row * 4 * W * C;
    kernel(upper, upper + 2 * W * C, W, C, dx + row * W * C);
  });
}

// y [rows, first + second] from a [rows, first] and b [rows, second], and back. An output that is
// not wanted is null.
void join_columns(int64_t rows, int64_t first, int64_t second, const float* a, const float* b,
                  float* y) {
  const int64_t both = first + second;
  for_each_row(rows, both, [&](int64_t row) {
    std::copy_n(a + row * first, first, y + row * both);
    std::copy_n(b + row * second, second, y + row * both + first);
  });
}

void split_columns(int64_t rows, int64_t first, int64_t second, const float* y, float* a,
                   float* b) {
  const int64_t both = first + second;
  for_each_row(rows, both, [&](int64_t row) {
    if (a) std::copy_n(y + row * both, first, a + row * first);
    if (b) std::copy_n(y + row * both + first, second, b + row * second);
  });
}

}  // namespace
}  // namespace ddpm::cpu

namespace ddpm {

void CpuBackend::run(const op::SpaceToDepth& o) {
  if (o.size != 2) return RefBackend::run(o);
  cpu::fold_cells(o.y.size(0) * o.y.size(1), o.y.size(2), o.x.size(3), o.x.f32(), o.y.f32());
}

void CpuBackend::run(const op::DepthToSpace& o) {
  if (o.size != 2) return RefBackend::run(o);
  cpu::unfold_cells(o.x.size(0) * o.x.size(1), o.x.size(2), o.y.size(3), o.x.f32(), o.y.f32());
}

void CpuBackend::run(const op::UpsampleNearest& o) {
  cpu::upsample(o.x.size(0) * o.x.size(1), o.x.size(2), o.x.size(3), o.x.f32(), o.y.f32());
}

void CpuBackend::run(const op::UpsampleNearestBackward& o) {
  cpu::upsample_backward(o.dx.size(0) * o.dx.size(1), o.dx.size(2), o.dx.size(3), o.dy.f32(),
                         o.dx.f32());
}

void CpuBackend::run(const op::ConcatChannels& o) {
  const int64_t first = o.a.size(-1), second = o.b.size(-1);
  const int64_t rows = o.y.elements() / std::max<int64_t>(first + second, 1);
  cpu::join_columns(rows, first, second, o.a.f32(), o.b.f32(), o.y.f32());
}

void CpuBackend::run(const op::SplitChannels& o) {
  const int64_t both = o.y.size(-1), first = o.a ? o.a->size(-1) : both - o.b->size(-1);
  cpu::split_columns(o.y.elements() / std::max<int64_t>(both, 1), first, both - first, o.y.f32(),
                     o.a ? o.a->f32() : nullptr, o.b ? o.b->f32() : nullptr);
}

}  // namespace ddpm
#endif
