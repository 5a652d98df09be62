// Differences and sums are in double. Chunks have a fixed size and their sums are added in order,
// so that no thread count changes the result.
#include "ddpm/kernels/cpu/pointwise/loss.h"

#include <algorithm>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/work/tasks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/pointwise/loss.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

template <LossShape kShape>
HWY_INLINE DoubleVec loss_at(DoubleVec difference) {
  const Doubles d;
  const DoubleVec size = hn::Abs(difference), square = hn::Mul(difference, difference);
  if (kShape == LossShape::kSquare) return square;
  if (kShape == LossShape::kAbsolute) return size;
  const DoubleVec half = hn::Set(d, 0.5);
  return hn::IfThenElse(hn::Le(size, hn::Set(d, 1)), hn::Mul(half, square), hn::Sub(size, half));
}

template <LossShape kShape>
double loss_of(const float* prediction, const float* target, int64_t count) {
  const Doubles d;
  const auto difference = [&](int64_t i) {
    return hn::Sub(load_double(prediction + i), load_double(target + i));
  };
  DoubleVec even = hn::Zero(d), odd = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * kDoubleLanes <= count; i += 2 * kDoubleLanes) {
    even = hn::Add(even, loss_at<kShape>(difference(i)));
    odd = hn::Add(odd, loss_at<kShape>(difference(i + kDoubleLanes)));
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  for (; i < count; ++i) {
    sum += hn::GetLane(loss_at<kShape>(hn::Set(d, double{prediction[i]} - target[i])));
  }
  return sum;
}

// NaN compares false with everything and so stays.
HWY_INLINE Vec sign(Vec x) {
  const Vec zero = hn::Zero(Floats());
  return hn::IfThenElse(hn::Gt(x, zero), set(1), hn::IfThenElse(hn::Lt(x, zero), set(-1), x));
}

template <LossShape kShape>
void slope_of(const float* prediction, const float* target, float factor, int64_t count,
              float* out) {
  for_each_vector(count, [=](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    const Vec x = hn::Sub(lanes.load(prediction + i), lanes.load(target + i));
    Vec slope = hn::Add(x, x);
    if (kShape == LossShape::kAbsolute) slope = sign(x);
    if (kShape == LossShape::kHuber) slope = hn::IfThenElse(hn::Le(hn::Abs(x), set(1)), x, sign(x));
    lanes.store(hn::Mul(slope, set(factor)), out + i);
  });
}

double loss_sum(LossShape shape, const float* prediction, const float* target, int64_t count) {
  const auto run = shape == LossShape::kSquare     ? loss_of<LossShape::kSquare>
                   : shape == LossShape::kAbsolute ? loss_of<LossShape::kAbsolute>
                                                   : loss_of<LossShape::kHuber>;
  return run(prediction, target, count);
}

void loss_slope(LossShape shape, const float* prediction, const float* target, float factor,
                int64_t count, float* out) {
  const auto run = shape == LossShape::kSquare     ? slope_of<LossShape::kSquare>
                   : shape == LossShape::kAbsolute ? slope_of<LossShape::kAbsolute>
                                                   : slope_of<LossShape::kHuber>;
  run(prediction, target, factor, count, out);
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

DDPM_SIMD_TABLE(loss_sum);
DDPM_SIMD_TABLE(loss_slope);

constexpr int64_t kChunk = 16384;

double mean_loss(LossShape shape, const LossPair& pair) {
  const auto kernel = DDPM_SIMD_CHOOSE(loss_sum);
  const int64_t chunks = ceil_div(pair.size, kChunk), count = pair.images * pair.size;
  std::vector<double> sums(pair.images * chunks);
  for_each_task(pair.images * chunks, count, [&](int64_t i) {
    const int64_t inside = i % chunks * kChunk, first = i / chunks * pair.size + inside;
    sums[i] = kernel(shape, pair.prediction + first, pair.target + first,
                     std::min(kChunk, pair.size - inside));
  });
  double sum = 0;
  for (int64_t i = 0; i < pair.images * chunks; ++i) {
    sum += pair.weights ? pair.weights[i / chunks] * sums[i] : sums[i];
  }
  return sum / static_cast<double>(count);
}

void mean_loss_backward(LossShape shape, const LossPair& pair, float upstream, float* dprediction) {
  const auto kernel = DDPM_SIMD_CHOOSE(loss_slope);
  const int64_t chunks = ceil_div(pair.size, kChunk), count = pair.images * pair.size;
  const double factor = upstream / static_cast<double>(count);
  for_each_task(pair.images * chunks, count, [&](int64_t i) {
    const int64_t inside = i % chunks * kChunk, first = i / chunks * pair.size + inside;
    const double weight = pair.weights ? pair.weights[i / chunks] : 1;
    kernel(shape, pair.prediction + first, pair.target + first, static_cast<float>(weight * factor),
           std::min(kChunk, pair.size - inside), dprediction + first);
  });
}

}  // namespace ddpm::cpu
#endif
