// Losses: differences and sums in double, in chunks of a fixed size whose sums are added in order,
// so that no thread count changes them.

#include <algorithm>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/cpu_backend.h"
#include "ddpm/kernels/cpu/tasks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/loss.cpp"
#include "ddpm/kernels/cpu/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/vector_math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

template <LossKind kKind>
HWY_INLINE DoubleVec loss_at(DoubleVec difference) {
  const Doubles d;
  const DoubleVec size = hn::Abs(difference), square = hn::Mul(difference, difference);
  if (kKind == LossKind::kMse) return square;
  if (kKind == LossKind::kL1) return size;
  const DoubleVec half = hn::Set(d, 0.5);
  return hn::IfThenElse(hn::Le(size, hn::Set(d, 1)), hn::Mul(half, square), hn::Sub(size, half));
}

template <LossKind kKind>
double loss_of(const float* prediction, const float* target, int64_t count) {
  const Doubles d;
  const auto difference = [&](int64_t i) {
    return hn::Sub(load_double(prediction + i), load_double(target + i));
  };
  DoubleVec even = hn::Zero(d), odd = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * kDoubleLanes <= count; i += 2 * kDoubleLanes) {
    even = hn::Add(even, loss_at<kKind>(difference(i)));
    odd = hn::Add(odd, loss_at<kKind>(difference(i + kDoubleLanes)));
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  for (; i < count; ++i) {
    sum += hn::GetLane(loss_at<kKind>(hn::Set(d, double{prediction[i]} - target[i])));
  }
  return sum;
}

// NaN compares false with everything and so stays.
HWY_INLINE Vec sign(Vec x) {
  const Vec zero = hn::Zero(Floats());
  return hn::IfThenElse(hn::Gt(x, zero), set(1), hn::IfThenElse(hn::Lt(x, zero), set(-1), x));
}

template <LossKind kKind>
struct Slope {
  const float* prediction;
  const float* target;
  float factor;
  float* out;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    const Vec x = hn::Sub(lanes.load(prediction + i), lanes.load(target + i));
    Vec slope = hn::Add(x, x);
    if (kKind == LossKind::kL1) slope = sign(x);
    if (kKind == LossKind::kHuber) slope = hn::IfThenElse(hn::Le(hn::Abs(x), set(1)), x, sign(x));
    lanes.store(hn::Mul(slope, set(factor)), out + i);
  }
};

double loss_sum(LossKind kind, const float* prediction, const float* target, int64_t count) {
  switch (kind) {
    case LossKind::kMse:
      return loss_of<LossKind::kMse>(prediction, target, count);
    case LossKind::kL1:
      return loss_of<LossKind::kL1>(prediction, target, count);
    case LossKind::kHuber:
      return loss_of<LossKind::kHuber>(prediction, target, count);
  }
  return 0;
}

void loss_slope(LossKind kind, const float* prediction, const float* target, float factor,
                int64_t count, float* out) {
  switch (kind) {
    case LossKind::kMse:
      return for_each_vector(count, Slope<LossKind::kMse>{prediction, target, factor, out});
    case LossKind::kL1:
      return for_each_vector(count, Slope<LossKind::kL1>{prediction, target, factor, out});
    case LossKind::kHuber:
      return for_each_vector(count, Slope<LossKind::kHuber>{prediction, target, factor, out});
  }
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm {
namespace cpu {
namespace {
DDPM_SIMD_TABLE(loss_sum);
DDPM_SIMD_TABLE(loss_slope);
constexpr int64_t kChunk = 16384;
}  // namespace
}  // namespace cpu

double CpuBackend::loss(LossKind kind, const Tensor& prediction, const Tensor& target) {
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::loss_sum);
  const int64_t count = prediction.elements(), chunks = cpu::ceil_div(count, cpu::kChunk);
  const float *p = prediction.f32(), *t = target.f32();
  std::vector<double> sums(chunks);
  cpu::for_each_task(chunks, count, [&](int64_t i) {
    const int64_t first = i * cpu::kChunk;
    sums[i] = kernel(kind, p + first, t + first, std::min(cpu::kChunk, count - first));
  });
  double sum = 0;
  for (double value : sums) sum += value;
  return sum / static_cast<double>(count);
}

void CpuBackend::loss_backward(LossKind kind, const Tensor& prediction, const Tensor& target,
                               float upstream, Tensor& dprediction) {
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::loss_slope);
  const int64_t count = prediction.elements();
  const float factor = static_cast<float>(upstream / static_cast<double>(count));
  const float *p = prediction.f32(), *t = target.f32();
  float* to = dprediction.f32();
  parallel_for(count, cpu::kChunk, [&](int64_t begin, int64_t end) {
    kernel(kind, p + begin, t + begin, factor, end - begin, to + begin);
  });
}

}  // namespace ddpm
#endif
