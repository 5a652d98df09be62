// The optimizer step: all that happens to a parameter in one pass over memory (gradient scaling,
// both moments, the update, the moving average), over chunks of all parameters at once, so that
// many small tensors cost no more than a large one. It moves 36 bytes per parameter and is bound by
// that.

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/kernels/cpu/cpu_backend.h"
#include "ddpm/kernels/cpu/tasks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/optimizer.cpp"
#include "ddpm/kernels/cpu/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/vector_math-inl.h"
// clang-format on

#ifndef DDPM_KERNELS_CPU_OPTIMIZER_ONCE
#define DDPM_KERNELS_CPU_OPTIMIZER_ONCE
namespace ddpm::cpu {
namespace {

// What is the same for every element. Averages move by a share of the distance, which stays exact
// where the share is small: 1 - 0.999 in float32 is wrong by 1e-5.
struct AdamStep {
  float grad_scale;
  float share1, share2;      // 1 - beta
  float rate;                // learning rate over the first moment's bias correction
  float inverse_correction;  // of the root of the second moment
  float eps;
  float ema_decay, ema_share;
};

struct AdamChunk {
  int64_t count;
  float* weight;
  const float* grad;
  float* moment1;
  float* moment2;
  float* ema;  // or null
};

}  // namespace
}  // namespace ddpm::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

template <bool kEma>
struct Update {
  const AdamStep& step;
  const AdamChunk& chunk;
  template <class Lanes>
  HWY_INLINE void operator()(int64_t i, Lanes lanes) const {
    const Vec grad = hn::Mul(lanes.load(chunk.grad + i), set(step.grad_scale));
    Vec first = lanes.load(chunk.moment1 + i), second = lanes.load(chunk.moment2 + i);
    first = hn::MulAdd(hn::Sub(grad, first), set(step.share1), first);
    second = hn::MulAdd(hn::Sub(hn::Mul(grad, grad), second), set(step.share2), second);
    const Vec size = hn::MulAdd(hn::Sqrt(second), set(step.inverse_correction), set(step.eps));
    const Vec change = hn::Div(hn::Mul(first, set(step.rate)), size);
    const Vec weight = hn::Sub(lanes.load(chunk.weight + i), change);
    lanes.store(first, chunk.moment1 + i);
    lanes.store(second, chunk.moment2 + i);
    lanes.store(weight, chunk.weight + i);
    if (kEma) {
      const Vec ema = lanes.load(chunk.ema + i);
      const Vec distance = hn::Sub(weight, ema);
      lanes.store(step.ema_share < 0.5f ? hn::MulAdd(distance, set(step.ema_share), ema)
                                        : hn::NegMulAdd(distance, set(step.ema_decay), weight),
                  chunk.ema + i);
    }
  }
};

void adam_chunk(const AdamStep& step, const AdamChunk& chunk) {
  if (chunk.ema) {
    for_each_vector(chunk.count, Update<true>{step, chunk});
  } else {
    for_each_vector(chunk.count, Update<false>{step, chunk});
  }
}

double square_sum(const float* x, int64_t count) {
  constexpr int kSums = 4;
  const Doubles d;
  DoubleVec sums[kSums];
  for (int s = 0; s < kSums; ++s) sums[s] = hn::Zero(d);
  int64_t i = 0;
  for (; i + kSums * kDoubleLanes <= count; i += kSums * kDoubleLanes) {
    for (int s = 0; s < kSums; ++s) {
      const DoubleVec value = load_double(x + i + s * kDoubleLanes);
      sums[s] = hn::MulAdd(value, value, sums[s]);
    }
  }
  double rest = 0;
  for (; i < count; ++i) rest += double{x[i]} * x[i];
  const DoubleVec all = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
  return hn::GetLane(hn::SumOfLanes(d, all)) + rest;
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm {
namespace cpu {
namespace {

DDPM_SIMD_TABLE(adam_chunk);
DDPM_SIMD_TABLE(square_sum);

constexpr int64_t kChunk = 32768;

// Cuts tensors of the given sizes into chunks: (tensor, first element, count).
struct Chunk {
  size_t tensor;
  int64_t first, count;
};
template <class SizeOf>
std::vector<Chunk> chunks_of(size_t tensors, const SizeOf& size_of) {
  std::vector<Chunk> chunks;
  for (size_t t = 0; t < tensors; ++t) {
    for (int64_t first = 0; first < size_of(t); first += kChunk) {
      chunks.push_back({t, first, std::min(kChunk, size_of(t) - first)});
    }
  }
  return chunks;
}

int64_t work_of(const std::vector<Chunk>& chunks) {
  constexpr int64_t kCost = 8;  // of an element, in multiply-adds
  int64_t elements = 0;
  for (const Chunk& chunk : chunks) elements += chunk.count;
  return kCost * elements;
}

}  // namespace
}  // namespace cpu

double CpuBackend::sum_of_squares(const std::vector<Tensor>& tensors) {
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::square_sum);
  const auto chunks =
      cpu::chunks_of(tensors.size(), [&](size_t t) { return tensors[t].elements(); });
  std::vector<double> sums(chunks.size());
  cpu::for_each_task(static_cast<int64_t>(chunks.size()), cpu::work_of(chunks), [&](int64_t i) {
    const cpu::Chunk& chunk = chunks[i];
    sums[i] = kernel(tensors[chunk.tensor].f32() + chunk.first, chunk.count);
  });
  double sum = 0;
  for (double value : sums) sum += value;
  return sum;
}

void CpuBackend::adam(const AdamArgs& args, std::vector<AdamParameter>& parameters) {
  const auto kernel = DDPM_SIMD_CHOOSE(cpu::adam_chunk);
  const double t = static_cast<double>(args.step);
  const cpu::AdamStep step = {
      .grad_scale = static_cast<float>(args.grad_scale),
      .share1 = static_cast<float>(1 - args.beta1),
      .share2 = static_cast<float>(1 - args.beta2),
      .rate = static_cast<float>(args.learning_rate / (1 - std::pow(args.beta1, t))),
      .inverse_correction = static_cast<float>(1 / std::sqrt(1 - std::pow(args.beta2, t))),
      .eps = static_cast<float>(args.eps),
      .ema_decay = static_cast<float>(args.ema_decay),
      .ema_share = static_cast<float>(1 - args.ema_decay)};
  const auto chunks =
      cpu::chunks_of(parameters.size(), [&](size_t p) { return parameters[p].weight.elements(); });
  cpu::for_each_task(static_cast<int64_t>(chunks.size()), cpu::work_of(chunks), [&](int64_t i) {
    const cpu::Chunk& chunk = chunks[i];
    AdamParameter& p = parameters[chunk.tensor];
    kernel(step, {.count = chunk.count,
                  .weight = p.weight.f32() + chunk.first,
                  .grad = p.grad.f32() + chunk.first,
                  .moment1 = p.moment1.f32() + chunk.first,
                  .moment2 = p.moment2.f32() + chunk.first,
                  .ema = p.ema.defined() ? p.ema.f32() + chunk.first : nullptr});
  });
}

}  // namespace ddpm
#endif
