// The step of all products. A tile of kRows x kVecs vectors of sums is in registers; each step adds
// the products of kRows numbers and kVecs vectors to it. This file has no include guard: a kernel
// file includes it once for each target, after hwy/highway.h, inside no namespace.
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {

template <int kRows, int kVecs>
HWY_INLINE void clear(Vec (&sum)[kRows][kVecs]) {
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) sum[r][v] = hn::Zero(Floats());
  }
}

// sum[r] += left(r) times the kVecs vectors at b.
template <int kRows, int kVecs, class Left>
HWY_INLINE void add_products(const Left& left, const float* b, Vec (&sum)[kRows][kVecs]) {
  Vec right[kVecs];
#pragma GCC unroll 2
  for (int v = 0; v < kVecs; ++v) right[v] = load(b + v * kLanes);
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    const Vec x = set(left(r));
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) sum[r][v] = hn::MulAdd(x, right[v], sum[r][v]);
  }
}

}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
