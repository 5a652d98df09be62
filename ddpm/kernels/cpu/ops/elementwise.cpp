// Each operation is one pass over memory. It may be cut over threads anywhere, because the result
// in a lane does not depend on the other lanes.
#include <algorithm>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/ops/cpu_backend.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/ops/elementwise.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

struct Silu {
  HWY_INLINE Vec value(Vec x) const { return silu(x); }
  HWY_INLINE Vec slope(Vec x) const { return silu_slope(x); }
};
struct Gelu {
  HWY_INLINE Vec value(Vec x) const { return gelu(x); }
  HWY_INLINE Vec slope(Vec x) const { return gelu_slope(x); }
};

template <class Function>
void apply(const float* x, int64_t count, float* y) {
  for_each_vector(count, [=](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    lanes.store(Function().value(lanes.load(x + i)), y + i);
  });
}

template <class Function>
void apply_slope(const float* dy, const float* x, int64_t count, float* dx) {
  for_each_vector(count, [=](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    const Vec slope = Function().slope(lanes.load(x + i));
    lanes.store(hn::Mul(lanes.load(dy + i), slope), dx + i);
  });
}

void activate(Activation kind, const float* x, int64_t count, float* y) {
  kind == Activation::kSilu ? apply<Silu>(x, count, y) : apply<Gelu>(x, count, y);
}

void activate_backward(Activation kind, const float* dy, const float* x, int64_t count, float* dx) {
  kind == Activation::kSilu ? apply_slope<Silu>(dy, x, count, dx)
                            : apply_slope<Gelu>(dy, x, count, dx);
}

void add_rows(const float* a, const float* b, int64_t count, float* y) {
  for_each_vector(count, [=](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    lanes.store(hn::Add(lanes.load(a + i), lanes.load(b + i)), y + i);
  });
}

template <int kTerms>
void combine_terms(const float* const* inputs, const float* factors, int64_t count, float* y) {
  for_each_vector(count, [=](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    Vec sum = hn::Mul(set(factors[0]), lanes.load(inputs[0] + i));
    for (int term = 1; term < kTerms; ++term) {
      sum = hn::MulAdd(set(factors[term]), lanes.load(inputs[term] + i), sum);
    }
    lanes.store(sum, y + i);
  });
}

void combine_rows(int terms, const float* const* inputs, const float* factors, int64_t count,
                  float* y) {
  if (terms == 1) combine_terms<1>(inputs, factors, count, y);
  if (terms == 2) combine_terms<2>(inputs, factors, count, y);
  if (terms == 3) combine_terms<3>(inputs, factors, count, y);
}

void clamp_row(float low, float high, int64_t count, float* x) {
  for_each_vector(count, [=](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    lanes.store(at_most(at_least(lanes.load(x + i), low), high), x + i);
  });
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

DDPM_SIMD_TABLE(activate);
DDPM_SIMD_TABLE(activate_backward);
DDPM_SIMD_TABLE(add_rows);
DDPM_SIMD_TABLE(combine_rows);
DDPM_SIMD_TABLE(clamp_row);

namespace {

// A thread gets at least so many elements: for fewer, waking it costs more than it saves.
constexpr int64_t kGrain = 16384;

void activate(Activation kind, const float* x, int64_t count, float* y) {
  const auto kernel = DDPM_SIMD_CHOOSE(activate);
  parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
    kernel(kind, x + begin, end - begin, y + begin);
  });
}

void activate_backward(Activation kind, const float* dy, const float* x, int64_t count, float* dx) {
  const auto kernel = DDPM_SIMD_CHOOSE(activate_backward);
  parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
    kernel(kind, dy + begin, x + begin, end - begin, dx + begin);
  });
}

void add(const float* a, const float* b, int64_t count, float* y) {
  const auto kernel = DDPM_SIMD_CHOOSE(add_rows);
  parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
    kernel(a + begin, b + begin, end - begin, y + begin);
  });
}

// y[n, i] = sum over terms of factors[n] * input[n, i]; y may be one of the inputs.
struct Term {
  const float* input;    // [images, size]
  const float* factors;  // [images]
};
constexpr int kMostTerms = 3;

void combine(int64_t images, int64_t size, const std::vector<Term>& terms, float* y) {
  const auto kernel = DDPM_SIMD_CHOOSE(combine_rows);
  const int count = static_cast<int>(terms.size());
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(size, 1));
  parallel_for(images, grain, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const float* rows[kMostTerms];
      float factors[kMostTerms];
      for (int i = 0; i < count; ++i) {
        rows[i] = terms[i].input + n * size;
        factors[i] = terms[i].factors[n];
      }
      kernel(count, rows, factors, size, y + n * size);
    }
  });
}

void clamp(float low, float high, int64_t count, float* x) {
  const auto kernel = DDPM_SIMD_CHOOSE(clamp_row);
  parallel_for(count, kGrain,
               [&](int64_t begin, int64_t end) { kernel(low, high, end - begin, x + begin); });
}

}  // namespace
}  // namespace ddpm::cpu

namespace ddpm {

void CpuBackend::run(const op::Activate& o) {
  cpu::activate(o.kind, o.x.f32(), o.x.elements(), o.y.f32());
}

void CpuBackend::run(const op::ActivateBackward& o) {
  cpu::activate_backward(o.kind, o.dy.f32(), o.x.f32(), o.x.elements(), o.dx.f32());
}

void CpuBackend::run(const op::Add& o) {
  cpu::add(o.a.f32(), o.b.f32(), o.y.elements(), o.y.f32());
}

void CpuBackend::run(const op::Combine& o) {
  const int64_t images = o.y.size(0);
  std::vector<cpu::Term> terms;
  for (size_t i = 0; i < o.inputs.size(); ++i) {
    terms.push_back({o.inputs[i]->f32(), o.coefficients[i].data()});
  }
  cpu::combine(images, o.y.elements() / std::max<int64_t>(images, 1), terms, o.y.f32());
}

void CpuBackend::run(const op::Clamp& o) { cpu::clamp(o.low, o.high, o.x.elements(), o.x.f32()); }

}  // namespace ddpm
#endif
