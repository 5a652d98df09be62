// Element-wise operations: one pass over memory each, cut over threads anywhere, because a lane's
// result does not depend on its neighbours.

#include <algorithm>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/cpu_backend.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/elementwise.cpp"
#include "ddpm/kernels/cpu/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/vector_math-inl.h"
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
struct Apply {
  const float* x;
  float* y;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    lanes.store(Function().value(lanes.load(x + i)), y + i);
  }
};

template <class Function>
struct ApplySlope {
  const float* dy;
  const float* x;
  float* dx;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    const Vec slope = Function().slope(lanes.load(x + i));
    lanes.store(hn::Mul(lanes.load(dy + i), slope), dx + i);
  }
};

struct Add {
  const float* a;
  const float* b;
  float* y;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    lanes.store(hn::Add(lanes.load(a + i), lanes.load(b + i)), y + i);
  }
};

template <int kTerms>
struct Combine {
  const float* const* inputs;
  const float* factors;
  float* y;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    Vec sum = hn::Mul(set(factors[0]), lanes.load(inputs[0] + i));
    for (int term = 1; term < kTerms; ++term) {
      sum = hn::MulAdd(set(factors[term]), lanes.load(inputs[term] + i), sum);
    }
    lanes.store(sum, y + i);
  }
};

struct Clamp {
  float low, high;
  float* x;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    lanes.store(at_most(at_least(lanes.load(x + i), low), high), x + i);
  }
};

void activate(Activation kind, const float* x, int64_t count, float* y) {
  if (kind == Activation::kSilu) {
    for_each_vector(count, Apply<Silu>{x, y});
  } else {
    for_each_vector(count, Apply<Gelu>{x, y});
  }
}

void activate_backward(Activation kind, const float* dy, const float* x, int64_t count, float* dx) {
  if (kind == Activation::kSilu) {
    for_each_vector(count, ApplySlope<Silu>{dy, x, dx});
  } else {
    for_each_vector(count, ApplySlope<Gelu>{dy, x, dx});
  }
}

void add_rows(const float* a, const float* b, int64_t count, float* y) {
  for_each_vector(count, Add{a, b, y});
}

void combine_rows(int terms, const float* const* inputs, const float* factors, int64_t count,
                  float* y) {
  if (terms == 1) for_each_vector(count, Combine<1>{inputs, factors, y});
  if (terms == 2) for_each_vector(count, Combine<2>{inputs, factors, y});
  if (terms == 3) for_each_vector(count, Combine<3>{inputs, factors, y});
}

void clamp_row(float low, float high, int64_t count, float* x) {
  for_each_vector(count, Clamp{low, high, x});
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm {
namespace cpu {
namespace {

DDPM_SIMD_TABLE(activate);
DDPM_SIMD_TABLE(activate_backward);
DDPM_SIMD_TABLE(add_rows);
DDPM_SIMD_TABLE(combine_rows);
DDPM_SIMD_TABLE(clamp_row);

// Elements per thread below which waking another costs more than it brings.
constexpr int64_t kGrain = 16384;

}  // namespace
}  // namespace cpu

void CpuBackend::activation(Activation kind, const Tensor& x, Tensor& y) {
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::activate);
  const float* from = x.f32();
  float* to = y.f32();
  parallel_for(x.elements(), cpu::kGrain, [&](int64_t begin, int64_t end) {
    kernel(kind, from + begin, end - begin, to + begin);
  });
}

void CpuBackend::activation_backward(Activation kind, const Tensor& dy, const Tensor& x,
                                     Tensor& dx) {
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::activate_backward);
  const float *grad = dy.f32(), *from = x.f32();
  float* to = dx.f32();
  parallel_for(x.elements(), cpu::kGrain, [&](int64_t begin, int64_t end) {
    kernel(kind, grad + begin, from + begin, end - begin, to + begin);
  });
}

void CpuBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::add_rows);
  const float *left = a.f32(), *right = b.f32();
  float* to = y.f32();
  parallel_for(y.elements(), cpu::kGrain, [&](int64_t begin, int64_t end) {
    kernel(left + begin, right + begin, end - begin, to + begin);
  });
}

void CpuBackend::combine(const std::vector<const Tensor*>& inputs,
                         const std::vector<std::vector<float>>& coefficients, Tensor& y) {
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::combine_rows);
  const int64_t images = y.size(0), size = y.elements() / std::max<int64_t>(images, 1);
  const int terms = static_cast<int>(inputs.size());
  parallel_for(images, std::max<int64_t>(1, cpu::kGrain / std::max<int64_t>(size, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t n = begin; n < end; ++n) {
                   const float* rows[3];
                   float factors[3];
                   for (int term = 0; term < terms; ++term) {
                     rows[term] = inputs[term]->f32() + n * size;
                     factors[term] = coefficients[term][n];
                   }
                   kernel(terms, rows, factors, size, y.f32() + n * size);
                 }
               });
}

void CpuBackend::clamp(float low, float high, Tensor& x) {
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::clamp_row);
  float* values = x.f32();
  parallel_for(x.elements(), cpu::kGrain,
               [&](int64_t begin, int64_t end) { kernel(low, high, end - begin, values + begin); });
}

}  // namespace ddpm
#endif
