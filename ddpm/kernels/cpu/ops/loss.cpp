// Differences and sums are in double. Chunks have a fixed size and their sums are added in order,
// so that no thread count changes the result.
#include <algorithm>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/ops/cpu_backend.h"
#include "ddpm/kernels/cpu/work/tasks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/ops/loss.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
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
void slope_of(const float* prediction, const float* target, float factor, int64_t count,
              float* out) {
  for_each_vector(count, [=](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    const Vec x = hn::Sub(lanes.load(prediction + i), lanes.load(target + i));
    Vec slope = hn::Add(x, x);
    if (kKind == LossKind::kL1) slope = sign(x);
    if (kKind == LossKind::kHuber) slope = hn::IfThenElse(hn::Le(hn::Abs(x), set(1)), x, sign(x));
    lanes.store(hn::Mul(slope, set(factor)), out + i);
  });
}

double loss_sum(LossKind kind, const float* prediction, const float* target, int64_t count) {
  const auto run = kind == LossKind::kMse  ? loss_of<LossKind::kMse>
                   : kind == LossKind::kL1 ? loss_of<LossKind::kL1>
                                           : loss_of<LossKind::kHuber>;
  return run(prediction, target, count);
}

void loss_slope(LossKind kind, const float* prediction, const float* target, float factor,
                int64_t count, float* out) {
  const auto run = kind == LossKind::kMse  ? slope_of<LossKind::kMse>
                   : kind == LossKind::kL1 ? slope_of<LossKind::kL1>
                                           : slope_of<LossKind::kHuber>;
  run(prediction, target, factor, count, out);
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

DDPM_SIMD_TABLE(loss_sum);
DDPM_SIMD_TABLE(loss_slope);

namespace {

constexpr int64_t kChunk = 16384;

// Two arrays of `images` images of `size` elements, and a weight for each image; null: all are 1.
struct LossPair {
  int64_t images;
  int64_t size;
  const float* prediction;
  const float* target;
  const float* weights;
};

// The mean over all elements of weight * loss.
double mean_loss(LossKind kind, const LossPair& pair) {
  const auto kernel = DDPM_SIMD_CHOOSE(loss_sum);
  const int64_t chunks = ceil_div(pair.size, kChunk), count = pair.images * pair.size;
  std::vector<double> sums(pair.images * chunks);
  for_each_task(pair.images * chunks, count, [&](int64_t i) {
    const int64_t inside = i % chunks * kChunk, first = i / chunks * pair.size + inside;
    sums[i] = kernel(kind, pair.prediction + first, pair.target + first,
                     std::min(kChunk, pair.size - inside));
  });
  double sum = 0;
  for (int64_t i = 0; i < pair.images * chunks; ++i) {
    sum += pair.weights ? pair.weights[i / chunks] * sums[i] : sums[i];
  }
  return sum / static_cast<double>(count);
}

// dprediction = upstream * d(mean loss) / d(prediction).
void mean_loss_backward(LossKind kind, const LossPair& pair, float upstream, float* dprediction) {
  const auto kernel = DDPM_SIMD_CHOOSE(loss_slope);
  const int64_t chunks = ceil_div(pair.size, kChunk), count = pair.images * pair.size;
  const double factor = upstream / static_cast<double>(count);
  for_each_task(pair.images * chunks, count, [&](int64_t i) {
    const int64_t inside = i % chunks * kChunk, first = i / chunks * pair.size + inside;
    const double weight = pair.weights ? pair.weights[i / chunks] : 1;
    kernel(kind, pair.prediction + first, pair.target + first, static_cast<float>(weight * factor),
           std::min(kChunk, pair.size - inside), dprediction + first);
  });
}

// Without weights all images count as one.
LossPair pair_of(const Tensor& prediction, const Tensor& target, const Tensor* weights) {
  const int64_t images = weights ? prediction.size(0) : 1;
  return {.images = images,
          .size = prediction.elements() / std::max<int64_t>(images, 1),
          .prediction = prediction.f32(),
          .target = target.f32(),
          .weights = weights ? weights->f32() : nullptr};
}

}  // namespace
}  // namespace ddpm::cpu

namespace ddpm {

void CpuBackend::run(const op::Loss& o) {
  o.mean = cpu::mean_loss(o.kind, cpu::pair_of(o.prediction, o.target, o.weights));
}

void CpuBackend::run(const op::LossBackward& o) {
  cpu::mean_loss_backward(o.kind, cpu::pair_of(o.prediction, o.target, o.weights), o.upstream,
                          o.dprediction.f32());
}

}  // namespace ddpm
#endif
