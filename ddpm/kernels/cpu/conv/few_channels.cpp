// Each pass goes from few channels to many, or from many to few, or sums the products of both over
// the pixels, so three kernels serve all passes. With w as few rows of many columns:
//   spread:  many[p] = bias + sum_i few[p, i] w[i]       (a strip of w in registers)
//   gather:  few[p, i] = bias[i] + many[p] . w[i]         (one vector of sums for each of the few)
//   outer:   w[i] = sum_p few[p, i] many[p]               (sums in registers down a strip)
// The problem alone decides how pixels are cut into blocks; outer sums are added block after block.
#include "ddpm/kernels/cpu/conv/few_channels.h"

#include <algorithm>
#include <vector>

#include "ddpm/kernels/cpu/work/tasks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/conv/few_channels.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

// kVecs vectors of columns, their part of w in registers.
template <int kFew, int kVecs, class Lanes>
HWY_INLINE void spread_strip(Lanes lanes, int64_t rows, const float* few, const float* w,
                             const float* bias, int64_t many, float* to) {
  Vec weights[kFew][kVecs], start[kVecs];
  for (int v = 0; v < kVecs; ++v) {
    start[v] = bias ? lanes.load(bias + v * kLanes) : hn::Zero(Floats());
    for (int i = 0; i < kFew; ++i) weights[i][v] = lanes.load(w + i * many + v * kLanes);
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int v = 0; v < kVecs; ++v) {
      Vec sum = start[v];
      for (int i = 0; i < kFew; ++i) {
        sum = hn::MulAdd(set(few[r * kFew + i]), weights[i][v], sum);
      }
      lanes.store(sum, to + r * many + v * kLanes);
    }
  }
}

template <int kFew>
void spread_of(int64_t rows, const float* few, const float* w, const float* bias, int64_t many,
               float* to) {
  for_each_strip(many, [&](int64_t j, auto vecs, auto lanes) HWY_ATTR {
    spread_strip<kFew, decltype(vecs)::value>(lanes, rows, few, w + j, bias ? bias + j : nullptr,
                                              many, to + j);
  });
}

template <int kFew>
void gather_of(int64_t rows, const float* from, const float* w, const float* bias, int64_t many,
               float* few) {
  for (int64_t r = 0; r < rows; ++r) {
    Vec sum[kFew];
    for (int i = 0; i < kFew; ++i) sum[i] = hn::Zero(Floats());
    const auto columns = [&](int64_t j, auto lanes) HWY_ATTR {
      const Vec x = lanes.load(from + r * many + j);
      for (int i = 0; i < kFew; ++i) sum[i] = hn::MulAdd(x, lanes.load(w + i * many + j), sum[i]);
    };
    for_each_vector(many, columns);
    for (int i = 0; i < kFew; ++i) {
      few[r * kFew + i] = hn::GetLane(hn::SumOfLanes(Floats(), sum[i])) + (bias ? bias[i] : 0.0f);
    }
  }
}

// kVecs vectors of columns; also their own sums to `totals`, where not null.
template <int kFew, int kVecs, class Lanes>
HWY_INLINE void outer_strip(Lanes lanes, int64_t rows, const float* few, const float* from,
                            int64_t many, float* w, float* totals) {
  Vec sum[kFew + 1][kVecs];
  for (int v = 0; v < kVecs; ++v) {
    for (int i = 0; i <= kFew; ++i) sum[i][v] = hn::Zero(Floats());
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int v = 0; v < kVecs; ++v) {
      const Vec x = lanes.load(from + r * many + v * kLanes);
      for (int i = 0; i < kFew; ++i) {
        sum[i][v] = hn::MulAdd(set(few[r * kFew + i]), x, sum[i][v]);
      }
      sum[kFew][v] = hn::Add(sum[kFew][v], x);
    }
  }
  for (int v = 0; v < kVecs; ++v) {
    for (int i = 0; i < kFew; ++i) lanes.store(sum[i][v], w + i * many + v * kLanes);
    if (totals) lanes.store(sum[kFew][v], totals + v * kLanes);
  }
}

template <int kFew>
void outer_of(int64_t rows, const float* few, const float* from, int64_t many, float* w,
              float* totals) {
  for_each_strip(many, [&](int64_t j, auto vecs, auto lanes) HWY_ATTR {
    outer_strip<kFew, decltype(vecs)::value>(lanes, rows, few, from + j, many, w + j,
                                             totals ? totals + j : nullptr);
  });
}

// Calls run(Count<few>()), 1 <= few <= kFewChannels.
template <class Run>
HWY_INLINE void with_count(int64_t few, const Run& run) {
  static_assert(kFewChannels == 4);
  if (few == 1) run(Count<1>());
  if (few == 2) run(Count<2>());
  if (few == 3) run(Count<3>());
  if (few == 4) run(Count<4>());
}

void spread(int64_t rows, int64_t few, const float* x, const float* w, const float* bias,
            int64_t many, float* to) {
  with_count(few, [=](auto count)
                      HWY_ATTR { spread_of<decltype(count)::value>(rows, x, w, bias, many, to); });
}

void gather(int64_t rows, int64_t few, const float* from, const float* w, const float* bias,
            int64_t many, float* to) {
  with_count(few, [=](auto count) HWY_ATTR {
    gather_of<decltype(count)::value>(rows, from, w, bias, many, to);
  });
}

void outer(int64_t rows, int64_t few, const float* x, const float* from, int64_t many, float* w,
           float* totals) {
  with_count(few, [=](auto count) HWY_ATTR {
    outer_of<decltype(count)::value>(rows, x, from, many, w, totals);
  });
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

DDPM_SIMD_TABLE(spread);
DDPM_SIMD_TABLE(gather);
DDPM_SIMD_TABLE(outer);

namespace {

constexpr int64_t kBlock = 512;  // pixels

// w [C, K] as few rows of many columns.
struct FewRows {
  FewRows(const ConvShape& s, const float* w)
      : few_in(s.channels <= kFewChannels),
        few(few_in ? s.channels : s.outputs),
        many(few_in ? s.outputs : s.channels),
        pixels(s.batch * s.height * s.width),
        rows(static_cast<size_t>(few * many)) {
    for (int64_t i = 0; w && i < few; ++i) {
      for (int64_t j = 0; j < many; ++j)
        rows[i * many + j] = few_in ? w[i * many + j] : w[j * few + i];
    }
  }
  int64_t blocks() const { return ceil_div(pixels, kBlock); }
  Range block(int64_t b) const { return {b * kBlock, std::min(pixels, (b + 1) * kBlock)}; }
  int64_t work() const { return pixels * few * many; }

  bool few_in;  // the few are the channels of x, not of y
  int64_t few, many, pixels;
  std::vector<float> rows;
};

// All pixels, from few channels to many or from many to few.
void multiply(const FewRows& f, bool from_few, const float* from, const float* bias, float* to) {
  const auto kernel = from_few ? DDPM_SIMD_CHOOSE(spread) : DDPM_SIMD_CHOOSE(gather);
  const int64_t from_width = from_few ? f.few : f.many, to_width = from_few ? f.many : f.few;
  for_each_task(f.blocks(), f.work(), [&](int64_t b) {
    const Range block = f.block(b);
    kernel(block.size(), f.few, from + block.begin * from_width, f.rows.data(), bias, f.many,
           to + block.begin * to_width);
  });
}

}  // namespace

void conv_few(const ConvShape& s, const float* x, const float* w, const float* bias, float* y) {
  const FewRows f(s, w);
  multiply(f, f.few_in, x, bias, y);
}

void conv_few_backward_data(const ConvShape& s, const float* dy, const float* w, float* dx) {
  const FewRows f(s, w);
  multiply(f, !f.few_in, dy, nullptr, dx);
}

void conv_few_backward_weights(const ConvShape& s, const float* x, const float* dy, float* dw,
                               float* dbias) {
  const auto kernel = DDPM_SIMD_CHOOSE(outer);
  FewRows f(s, nullptr);
  const float *few = f.few_in ? x : dy, *many = f.few_in ? dy : x;
  const int64_t size = (f.few + 1) * f.many;  // of a block's sums and totals
  std::vector<float> sums(static_cast<size_t>(f.blocks() * size));
  for_each_task(f.blocks(), f.work(), [&](int64_t b) {
    const Range block = f.block(b);
    float* to = sums.data() + b * size;
    kernel(block.size(), f.few, few + block.begin * f.few, many + block.begin * f.many, f.many, to,
           to + f.few * f.many);
  });
  std::vector<double> total(static_cast<size_t>(size));
  for (int64_t b = 0; b < f.blocks(); ++b) {
    for (int64_t i = 0; i < size; ++i) total[i] += sums[b * size + i];
  }
  for (int64_t i = 0; i < f.few; ++i) {
    for (int64_t j = 0; j < f.many; ++j) {
      dw[f.few_in ? i * f.many + j : j * f.few + i] = static_cast<float>(total[i * f.many + j]);
    }
  }
  if (!dbias) return;
  if (f.few_in) {
    for (int64_t j = 0; j < f.many; ++j) dbias[j] = static_cast<float>(total[f.few * f.many + j]);
    return;
  }
  std::vector<double> few_total(static_cast<size_t>(f.few));
  for (int64_t p = 0; p < f.pixels; ++p) {
    for (int64_t i = 0; i < f.few; ++i) few_total[i] += few[p * f.few + i];
  }
  for (int64_t i = 0; i < f.few; ++i) dbias[i] = static_cast<float>(few_total[i]);
}

}  // namespace ddpm::cpu
#endif
