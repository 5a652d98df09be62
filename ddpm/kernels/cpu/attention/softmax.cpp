// Softmaxes always subtract the maximum of what they sum over. A row is summed in one vector whose
// lanes are added at the end, whatever block of rows it stands in.
#include "ddpm/kernels/cpu/attention/softmax.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/attention/softmax.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

constexpr float kLowest = -HUGE_VALF;

HWY_INLINE float sum_of_lanes(Vec v) { return hn::GetLane(hn::SumOfLanes(Floats(), v)); }

struct Highest {
  const float* x;
  Vec& highest;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    highest = hn::Max(highest, lanes.only(lanes.load(x + i), kLowest));
  }
};
HWY_INLINE Vec highest_of(const float* x, int64_t count) {
  Vec highest = set(kLowest);
  for_each_vector(count, Highest{x, highest});
  return hn::MaxOfLanes(Floats(), highest);
}

// y = exp(x - highest), total += y.
struct Exponentials {
  const float* x;
  Vec highest;
  Vec& total;
  float* y;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    const Vec value = exp(hn::Sub(lanes.load(x + i), highest));
    lanes.store(value, y + i);
    total = hn::Add(total, lanes.only(value, 0));
  }
};

struct Scale {
  Vec factor;
  float* y;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    lanes.store(hn::Mul(lanes.load(y + i), factor), y + i);
  }
};

// kHeads heads of kVecs whole vectors each, step by step together: the steps of one head wait for
// each other.
template <int kHeads, int kVecs>
HWY_INLINE void soften_whole(float factor, const float* x, float* y) {
  Vec highest[kHeads], total[kHeads];
  for (int h = 0; h < kHeads; ++h) {
    const float* head = x + h * kVecs * kLanes;
    highest[h] = load(head);
    for (int v = 1; v < kVecs; ++v) highest[h] = hn::Max(highest[h], load(head + v * kLanes));
    highest[h] = hn::MaxOfLanes(Floats(), highest[h]);
  }
  for (int h = 0; h < kHeads; ++h) {
    total[h] = hn::Zero(Floats());
    for (int v = 0; v < kVecs; ++v) {
      const int64_t i = (h * kVecs + v) * kLanes;
      const Vec value = exp(hn::Sub(load(x + i), highest[h]));
      total[h] = hn::Add(total[h], value);
      store(value, y + i);
    }
  }
  for (int h = 0; h < kHeads; ++h) {
    const Vec scale = hn::Div(set(factor), hn::SumOfLanes(Floats(), total[h]));
    for (int v = 0; v < kVecs; ++v) {
      float* to = y + (h * kVecs + v) * kLanes;
      store(hn::Mul(load(to), scale), to);
    }
  }
}

template <int kVecs>
HWY_INLINE void soften_whole_heads(int64_t heads, float factor, const float* x, float* y) {
  constexpr int64_t kWidth = kVecs * kLanes;
  int64_t h = 0;
  for (; h + 4 <= heads; h += 4) soften_whole<4, kVecs>(factor, x + h * kWidth, y + h * kWidth);
  for (; h < heads; ++h) soften_whole<1, kVecs>(factor, x + h * kWidth, y + h * kWidth);
}

HWY_INLINE void soften(int64_t width, float factor, const float* x, float* y) {
  Vec total = hn::Zero(Floats());
  for_each_vector(width, Exponentials{x, highest_of(x, width), total, y});
  total = hn::SumOfLanes(Floats(), total);
  for_each_vector(width, Scale{hn::Div(set(factor), total), y});
}

void soften_heads(int64_t rows, int64_t heads, int64_t width, float factor, ConstRows x, Rows y) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = x.data + r * x.stride;
    float* to = y.data + r * y.stride;
    if (width == 4 * kLanes) {
      soften_whole_heads<4>(heads, factor, from, to);
    } else if (width == 2 * kLanes) {
      soften_whole_heads<2>(heads, factor, from, to);
    } else {
      for (int64_t h = 0; h < heads; ++h) soften(width, factor, from + h * width, to + h * width);
    }
  }
}

struct Products {
  const float* a;
  const float* b;
  Vec& sum;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    sum = hn::MulAdd(lanes.load(a + i), lanes.load(b + i), sum);
  }
};
HWY_INLINE Vec products_of(const float* a, const float* b, int64_t count) {
  Vec sum = hn::Zero(Floats());
  for_each_vector(count, Products{a, b, sum});
  return hn::SumOfLanes(Floats(), sum);
}

// out = y (dy - mix)
struct Centre {
  const float* y;
  const float* dy;
  Vec mix;
  float* out;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    lanes.store(hn::Mul(lanes.load(y + i), hn::Sub(lanes.load(dy + i), mix)), out + i);
  }
};

void soften_heads_gradient(int64_t rows, int64_t heads, int64_t width, float factor, ConstRows y,
                           ConstRows dy, Rows dx) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t h = 0; h < heads; ++h) {
      const float* value = y.data + r * y.stride + h * width;
      const float* grad = dy.data + r * dy.stride + h * width;
      const Vec mix = hn::Div(products_of(value, grad, width), set(factor));
      for_each_vector(width, Centre{value, grad, mix, dx.data + r * dx.stride + h * width});
    }
  }
}

struct AddRow {
  const float* x;
  float* sums;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t c, Lanes lanes) const {
    lanes.store(hn::Add(lanes.load(sums + c), lanes.load(x + c)), sums + c);
  }
};
void add_rows(int64_t rows, int64_t columns, ConstRows x, float* sums) {
  for (int64_t c = 0; c < columns; ++c) sums[c] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    for_each_vector(columns, AddRow{x.data + r * x.stride, sums});
  }
}

struct RaiseMaxima {
  const float* x;
  float* maxima;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t c, Lanes lanes) const {
    lanes.store(hn::Max(lanes.load(maxima + c), lanes.load(x + c)), maxima + c);
  }
};
void maxima(int64_t rows, int64_t columns, ConstRows x, float* out) {
  for (int64_t c = 0; c < columns; ++c) out[c] = x.data[c];
  for (int64_t r = 1; r < rows; ++r) {
    for_each_vector(columns, RaiseMaxima{x.data + r * x.stride, out});
  }
}

struct ColumnExponentials {
  const float* x;
  const float* maxima;
  float* y;
  float* sums;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t c, Lanes lanes) const {
    const Vec value = exp(hn::Sub(lanes.load(x + c), lanes.load(maxima + c)));
    lanes.store(value, y + c);
    lanes.store(hn::Add(lanes.load(sums + c), value), sums + c);
  }
};
void exponentials(int64_t rows, int64_t columns, ConstRows x, const float* maxima_in, Rows y,
                  float* sums) {
  for (int64_t c = 0; c < columns; ++c) sums[c] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    for_each_vector(
        columns, ColumnExponentials{x.data + r * x.stride, maxima_in, y.data + r * y.stride, sums});
  }
}

struct ColumnSoftmax {
  const float* x;
  const float* maxima;
  const float* factors;
  float* y;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t c, Lanes lanes) const {
    const Vec value = exp(hn::Sub(lanes.load(x + c), lanes.load(maxima + c)));
    lanes.store(hn::Mul(value, lanes.load(factors + c)), y + c);
  }
};
void soften_columns(int64_t rows, int64_t columns, ConstRows x, const float* maxima_in,
                    const float* factors, Rows y) {
  for (int64_t r = 0; r < rows; ++r) {
    for_each_vector(
        columns, ColumnSoftmax{x.data + r * x.stride, maxima_in, factors, y.data + r * y.stride});
  }
}

struct ColumnCentre {
  const float* y;
  const float* dy;
  const float* mix;
  float* out;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t c, Lanes lanes) const {
    const Vec centred = hn::Sub(lanes.load(dy + c), lanes.load(mix + c));
    lanes.store(hn::Mul(lanes.load(y + c), centred), out + c);
  }
};
void soften_columns_gradient(int64_t rows, int64_t columns, ConstRows y, ConstRows dy,
                             const float* mix, Rows dx) {
  for (int64_t r = 0; r < rows; ++r) {
    for_each_vector(columns, ColumnCentre{y.data + r * y.stride, dy.data + r * dy.stride, mix,
                                          dx.data + r * dx.stride});
  }
}

void block(int64_t rows, int64_t columns, Rows scores, float* highest, float* total, int64_t width,
           Rows out) {
  for (int64_t r = 0; r < rows; ++r) {
    float* row = scores.data + r * scores.stride;
    const bool first = highest[r] == kLowest;
    const Vec raised = hn::Max(set(highest[r]), highest_of(row, columns));
    Vec sum = hn::Zero(Floats());
    for_each_vector(columns, Exponentials{row, raised, sum, row});
    if (!first) {
      const Vec shrink = exp(hn::Sub(set(highest[r]), raised));
      total[r] *= hn::GetLane(shrink);
      for_each_vector(width, Scale{shrink, out.data + r * out.stride});
    }
    total[r] += sum_of_lanes(sum);
    highest[r] = hn::GetLane(raised);
  }
}

void divide_rows(int64_t rows, const float* total, int64_t width, Rows out) {
  for (int64_t r = 0; r < rows; ++r) {
    for_each_vector(width, Scale{set(1 / total[r]), out.data + r * out.stride});
  }
}

void products(int64_t rows, int64_t width, ConstRows a, ConstRows b, float* inner) {
  for (int64_t r = 0; r < rows; ++r) {
    inner[r] = hn::GetLane(products_of(a.data + r * a.stride, b.data + r * b.stride, width));
  }
}

struct BlockGradient {
  float* score;
  float* dp;
  Vec logsumexp, inner, factor;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    const Vec p = exp(hn::Sub(lanes.load(score + i), logsumexp));
    lanes.store(p, score + i);
    const Vec centred = hn::Sub(lanes.load(dp + i), inner);
    lanes.store(hn::Mul(hn::Mul(p, factor), centred), dp + i);
  }
};
void block_gradient(int64_t rows, int64_t columns, float factor, const float* logsumexp,
                    const float* inner, Rows scores, Rows dp) {
  for (int64_t r = 0; r < rows; ++r) {
    for_each_vector(columns, BlockGradient{scores.data + r * scores.stride, dp.data + r * dp.stride,
                                           set(logsumexp[r]), set(inner[r]), set(factor)});
  }
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {
namespace {
DDPM_SIMD_TABLE(soften_heads);
DDPM_SIMD_TABLE(soften_heads_gradient);
DDPM_SIMD_TABLE(add_rows);
DDPM_SIMD_TABLE(maxima);
DDPM_SIMD_TABLE(exponentials);
DDPM_SIMD_TABLE(soften_columns);
DDPM_SIMD_TABLE(soften_columns_gradient);
DDPM_SIMD_TABLE(block);
DDPM_SIMD_TABLE(divide_rows);
DDPM_SIMD_TABLE(products);
DDPM_SIMD_TABLE(block_gradient);
}  // namespace

void softmax_heads(int64_t rows, int64_t heads, int64_t width, float factor, ConstRows x, Rows y) {
  DDPM_SIMD_CHOOSE(soften_heads)(rows, heads, width, factor, x, y);
}

void softmax_heads_gradient(int64_t rows, int64_t heads, int64_t width, float factor, ConstRows y,
                            ConstRows dy, Rows dx) {
  DDPM_SIMD_CHOOSE(soften_heads_gradient)(rows, heads, width, factor, y, dy, dx);
}

void column_sums(int64_t rows, int64_t columns, ConstRows x, float* sums) {
  DDPM_SIMD_CHOOSE(add_rows)(rows, columns, x, sums);
}

void column_maxima(int64_t rows, int64_t columns, ConstRows x, float* out) {
  DDPM_SIMD_CHOOSE(maxima)(rows, columns, x, out);
}

void column_exponentials(int64_t rows, int64_t columns, ConstRows x, const float* maxima_in, Rows y,
                         float* sums) {
  DDPM_SIMD_CHOOSE(exponentials)(rows, columns, x, maxima_in, y, sums);
}

void merge_column_softmax(int64_t parts, int64_t stride, const float* part, int64_t columns,
                          int64_t width, float* maxima, float* sums, float* product) {
  for (int64_t c = 0; c < columns; ++c) {
    float highest = part[c];
    for (int64_t b = 1; b < parts; ++b) highest = std::max(highest, part[b * stride + c]);
    maxima[c] = highest;
    sums[c] = 0;
    float* row = product + c * width;
    std::fill_n(row, width, 0.0f);
    for (int64_t b = 0; b < parts; ++b) {
      const float *from = part + b * stride, *from_row = from + 2 * columns + c * width;
      const float shrink = std::exp(from[c] - highest);
      sums[c] += shrink * from[columns + c];
      for (int64_t i = 0; i < width; ++i) row[i] += shrink * from_row[i];
    }
    const float inverse = 1 / sums[c];
    for (int64_t i = 0; i < width; ++i) row[i] *= inverse;
  }
}

void column_softmax(int64_t rows, int64_t columns, ConstRows x, const float* maxima_in,
                    const float* factors, Rows y) {
  DDPM_SIMD_CHOOSE(soften_columns)(rows, columns, x, maxima_in, factors, y);
}

void column_softmax_gradient(int64_t rows, int64_t columns, ConstRows y, ConstRows dy,
                             const float* mix, Rows dx) {
  DDPM_SIMD_CHOOSE(soften_columns_gradient)(rows, columns, y, dy, mix, dx);
}

void attention_block(int64_t rows, int64_t columns, Rows scores, float* highest, float* total,
                     int64_t width, Rows out) {
  DDPM_SIMD_CHOOSE(block)(rows, columns, scores, highest, total, width, out);
}

void attention_finish(int64_t rows, const float* highest, const float* total, int64_t width,
                      Rows out, float* logsumexp) {
  DDPM_SIMD_CHOOSE(divide_rows)(rows, total, width, out);
  for (int64_t r = 0; r < rows; ++r) logsumexp[r] = highest[r] + std::log(total[r]);
}

void row_products(int64_t rows, int64_t width, ConstRows a, ConstRows b, float* inner) {
  DDPM_SIMD_CHOOSE(products)(rows, width, a, b, inner);
}

void attention_block_gradient(int64_t rows, int64_t columns, float factor, const float* logsumexp,
                              const float* inner, Rows scores, Rows dp) {
  DDPM_SIMD_CHOOSE(block_gradient)(rows, columns, factor, logsumexp, inner, scores, dp);
}

}  // namespace ddpm::cpu
#endif
