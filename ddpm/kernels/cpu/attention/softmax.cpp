// Every softmax subtracts the maximum of what it sums over. The sum of a row is kept in one vector,
// whose lanes are added at the end, so it does not depend on the block of rows.
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

HWY_INLINE Vec highest_of(const float* x, int64_t count) {
  Vec highest = set(kLowest);
  for_each_vector(count, [&](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    highest = hn::Max(highest, lanes.only(lanes.load(x + i), kLowest));
  });
  return hn::MaxOfLanes(Floats(), highest);
}

// y = exp(x - highest); gives the sum of y, in lanes that are still to be added.
HWY_INLINE Vec exponentials_of(const float* x, Vec highest, int64_t count, float* y) {
  Vec total = hn::Zero(Floats());
  for_each_vector(count, [&](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    const Vec value = exp(hn::Sub(lanes.load(x + i), highest));
    lanes.store(value, y + i);
    total = hn::Add(total, lanes.only(value, 0));
  });
  return total;
}

// y = factor y.
HWY_INLINE void scale_row(Vec factor, int64_t count, float* y) {
  for_each_vector(count, [=](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    lanes.store(hn::Mul(lanes.load(y + i), factor), y + i);
  });
}

// kHeads heads of kVecs whole vectors each. They take each step together, because within one head
// each step must wait for the one before.
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
  const Vec total = exponentials_of(x, highest_of(x, width), width, y);
  scale_row(hn::Div(set(factor), hn::SumOfLanes(Floats(), total)), width, y);
}

void soften_heads(int64_t rows, int64_t heads, int64_t width, float factor, ConstRows x, Rows y) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = x.row(r);
    float* to = y.row(r);
    if (width == 4 * kLanes) {
      soften_whole_heads<4>(heads, factor, from, to);
    } else if (width == 2 * kLanes) {
      soften_whole_heads<2>(heads, factor, from, to);
    } else {
      for (int64_t h = 0; h < heads; ++h) soften(width, factor, from + h * width, to + h * width);
    }
  }
}

HWY_INLINE Vec products_of(const float* a, const float* b, int64_t count) {
  Vec sum = hn::Zero(Floats());
  for_each_vector(count, [&](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    sum = hn::MulAdd(lanes.load(a + i), lanes.load(b + i), sum);
  });
  return hn::SumOfLanes(Floats(), sum);
}

void soften_heads_gradient(int64_t rows, int64_t heads, int64_t width, float factor, ConstRows y,
                           ConstRows dy, Rows dx) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t h = 0; h < heads; ++h) {
      const float* value = y.row(r) + h * width;
      const float* grad = dy.row(r) + h * width;
      float* out = dx.row(r) + h * width;
      const Vec mix = hn::Div(products_of(value, grad, width), set(factor));
      for_each_vector(width, [=](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
        const Vec centred = hn::Sub(lanes.load(grad + i), mix);
        lanes.store(hn::Mul(lanes.load(value + i), centred), out + i);
      });
    }
  }
}

void add_rows(int64_t rows, int64_t columns, ConstRows x, float* sums) {
  for (int64_t c = 0; c < columns; ++c) sums[c] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x.row(r);
    for_each_vector(columns, [=](int64_t c, auto lanes) DDPM_SIMD_LAMBDA {
      lanes.store(hn::Add(lanes.load(sums + c), lanes.load(row + c)), sums + c);
    });
  }
}

void maxima(int64_t rows, int64_t columns, ConstRows x, float* out) {
  for (int64_t c = 0; c < columns; ++c) out[c] = x.data[c];
  for (int64_t r = 1; r < rows; ++r) {
    const float* row = x.row(r);
    for_each_vector(columns, [=](int64_t c, auto lanes) DDPM_SIMD_LAMBDA {
      lanes.store(hn::Max(lanes.load(out + c), lanes.load(row + c)), out + c);
    });
  }
}

void exponentials(int64_t rows, int64_t columns, ConstRows x, const float* maxima_in, Rows y,
                  float* sums) {
  for (int64_t c = 0; c < columns; ++c) sums[c] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = x.row(r);
    float* to = y.row(r);
    for_each_vector(columns, [=](int64_t c, auto lanes) DDPM_SIMD_LAMBDA {
      const Vec value = exp(hn::Sub(lanes.load(from + c), lanes.load(maxima_in + c)));
      lanes.store(value, to + c);
      lanes.store(hn::Add(lanes.load(sums + c), value), sums + c);
    });
  }
}

void soften_columns(int64_t rows, int64_t columns, ConstRows x, const float* maxima_in,
                    const float* factors, Rows y) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = x.row(r);
    float* to = y.row(r);
    for_each_vector(columns, [=](int64_t c, auto lanes) DDPM_SIMD_LAMBDA {
      const Vec value = exp(hn::Sub(lanes.load(from + c), lanes.load(maxima_in + c)));
      lanes.store(hn::Mul(value, lanes.load(factors + c)), to + c);
    });
  }
}

void soften_columns_gradient(int64_t rows, int64_t columns, ConstRows y, ConstRows dy,
                             const float* mix, Rows dx) {
  for (int64_t r = 0; r < rows; ++r) {
    const float *value = y.row(r), *grad = dy.row(r);
    float* out = dx.row(r);
    for_each_vector(columns, [=](int64_t c, auto lanes) DDPM_SIMD_LAMBDA {
      const Vec centred = hn::Sub(lanes.load(grad + c), lanes.load(mix + c));
      lanes.store(hn::Mul(lanes.load(value + c), centred), out + c);
    });
  }
}

void block(int64_t rows, int64_t columns, Rows scores, float* highest, float* total, int64_t width,
           Rows out) {
  for (int64_t r = 0; r < rows; ++r) {
    float* row = scores.row(r);
    const bool first = highest[r] == kLowest;
    const Vec raised = hn::Max(set(highest[r]), highest_of(row, columns));
    const Vec sum = exponentials_of(row, raised, columns, row);
    if (!first) {
      const Vec shrink = exp(hn::Sub(set(highest[r]), raised));
      total[r] *= hn::GetLane(shrink);
      scale_row(shrink, width, out.row(r));
    }
    total[r] += sum_of_lanes(sum);
    highest[r] = hn::GetLane(raised);
  }
}

void divide_rows(int64_t rows, const float* total, int64_t width, Rows out) {
  for (int64_t r = 0; r < rows; ++r) {
    scale_row(set(1 / total[r]), width, out.row(r));
  }
}

void products(int64_t rows, int64_t width, ConstRows a, ConstRows b, float* inner) {
  for (int64_t r = 0; r < rows; ++r) {
    inner[r] = hn::GetLane(products_of(a.row(r), b.row(r), width));
  }
}

void block_gradient(int64_t rows, int64_t columns, float factor, const float* logsumexp,
                    const float* inner, Rows scores, Rows dp) {
  for (int64_t r = 0; r < rows; ++r) {
    float *score = scores.row(r), *gradient = dp.row(r);
    const Vec highest = set(logsumexp[r]), mix = set(inner[r]), scale = set(factor);
    for_each_vector(columns, [=](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
      const Vec p = exp(hn::Sub(lanes.load(score + i), highest));
      lanes.store(p, score + i);
      const Vec centred = hn::Sub(lanes.load(gradient + i), mix);
      lanes.store(hn::Mul(hn::Mul(p, scale), centred), gradient + i);
    });
  }
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

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

void column_maxima(int64_t rows, int64_t columns, ConstRows x, float* maxima) {
  DDPM_SIMD_CHOOSE(maxima)(rows, columns, x, maxima);
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
