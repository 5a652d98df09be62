#include "bench/fma_loop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/fma_loop.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::bench::HWY_NAMESPACE {

double fma_loop() {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  // More than the latency times the throughput of today's processors.
  constexpr int kChains = 12;
  constexpr int kSteps = 10000;
  hn::Vec<decltype(d)> sum[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sum[i] = hn::Set(d, static_cast<float>(i));
  volatile float seed = 0.999f;
  const auto x = hn::Set(d, seed), y = hn::Set(d, 1 - seed);
  for (int step = 0; step < kSteps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sum[i] = hn::MulAdd(sum[i], x, y);
  }
  auto total = sum[0];
  for (int i = 1; i < kChains; ++i) total = hn::Add(total, sum[i]);
  volatile float sink = hn::GetLane(total);
  (void)sink;
  return 2.0 * kChains * kSteps * static_cast<double>(hn::Lanes(d));
}

}  // namespace ddpm::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::bench {

DDPM_SIMD_TABLE(fma_loop);

double run_fma_loop() { return DDPM_SIMD_CHOOSE(fma_loop)(); }

}  // namespace ddpm::bench
#endif
