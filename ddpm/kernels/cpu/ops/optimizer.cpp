// The optimizer step does everything in one pass over memory: it scales the gradient, updates both
// moments and the weight, and moves the average. It works on chunks of all parameters at once, so
// that many small tensors cost no more than a large one. It moves 36 bytes for each parameter, and
// memory is its limit.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/kernels/cpu/ops/cpu_backend.h"
#include "ddpm/kernels/cpu/work/tasks.h"

// What the kernels of all targets take. Highway includes this file once for each target; the guard
// keeps the declarations to one.
#ifndef DDPM_KERNELS_CPU_OPS_OPTIMIZER_TYPES_
#define DDPM_KERNELS_CPU_OPS_OPTIMIZER_TYPES_
namespace ddpm::cpu {
namespace {

// What is the same for every element. The averages move by a share of the distance. Shares are
// computed in double, because 1 - 0.999 in float32 is wrong by 1e-5.
struct AdamStep {
  float grad_scale;
  float share1, share2;      // 1 - beta
  float rate;                // learning rate over the first moment's bias correction
  float inverse_correction;  // of the root of the second moment
  float eps;
};

// How an average moves: the weight of the past, and that of the new value.
struct AverageStep {
  float decay, share;
};

// A parameter, or a part of one.
struct AdamSpan {
  int64_t count;
  float* weight;
  const float* grad;
  float* moment1;
  float* moment2;
  float* ema;  // or null
  float keep;  // the weight is multiplied by this first
};

// A tensor and its average, or a part of them.
struct AverageSpan {
  int64_t count;
  const float* value;
  float* average;
};

}  // namespace
}  // namespace ddpm::cpu
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/ops/optimizer.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

HWY_INLINE Vec moved(const AverageStep& step, Vec average, Vec value) {
  const Vec distance = hn::Sub(value, average);
  return step.share < 0.5f ? hn::MulAdd(distance, set(step.share), average)
                           : hn::NegMulAdd(distance, set(step.decay), value);
}

template <bool kEma>
void update(const AdamStep& step, const AverageStep& average, const AdamSpan& span) {
  for_each_vector(span.count, [&](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    const Vec grad = hn::Mul(lanes.load(span.grad + i), set(step.grad_scale));
    Vec first = lanes.load(span.moment1 + i), second = lanes.load(span.moment2 + i);
    first = hn::MulAdd(hn::Sub(grad, first), set(step.share1), first);
    second = hn::MulAdd(hn::Sub(hn::Mul(grad, grad), second), set(step.share2), second);
    const Vec size = hn::MulAdd(hn::Sqrt(second), set(step.inverse_correction), set(step.eps));
    const Vec change = hn::Div(hn::Mul(first, set(step.rate)), size);
    const Vec weight = hn::MulSub(lanes.load(span.weight + i), set(span.keep), change);
    lanes.store(first, span.moment1 + i);
    lanes.store(second, span.moment2 + i);
    lanes.store(weight, span.weight + i);
    if (kEma) lanes.store(moved(average, lanes.load(span.ema + i), weight), span.ema + i);
  });
}

void adam_span(const AdamStep& step, const AverageStep& average, const AdamSpan& span) {
  span.ema ? update<true>(step, average, span) : update<false>(step, average, span);
}

void average_span(const AverageStep& step, const AverageSpan& span) {
  for_each_vector(span.count, [&](int64_t i, auto lanes) DDPM_SIMD_LAMBDA {
    const Vec average = lanes.load(span.average + i);
    lanes.store(moved(step, average, lanes.load(span.value + i)), span.average + i);
  });
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
namespace ddpm::cpu {

DDPM_SIMD_TABLE(adam_span);
DDPM_SIMD_TABLE(average_span);
DDPM_SIMD_TABLE(square_sum);

namespace {

constexpr int64_t kChunk = 32768;

// Elements [first, first + count) of the array number `array`.
struct Chunk {
  size_t array;
  int64_t first, count;
};
template <class Array>
std::vector<Chunk> chunks_of(const std::vector<Array>& arrays) {
  std::vector<Chunk> chunks;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const int64_t count = arrays[i].count;
    for (int64_t first = 0; first < count; first += kChunk) {
      chunks.push_back({i, first, std::min(kChunk, count - first)});
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

struct Span {
  const float* data;
  int64_t count;
};

// The sum of the squares of the elements of each span, in double.
std::vector<double> sums_of_squares(const std::vector<Span>& spans) {
  const auto kernel = DDPM_SIMD_CHOOSE(square_sum);
  const std::vector<Chunk> chunks = chunks_of(spans);
  std::vector<double> sums(chunks.size());
  for_each_task(static_cast<int64_t>(chunks.size()), work_of(chunks), [&](int64_t i) {
    const Chunk& chunk = chunks[i];
    sums[i] = kernel(spans[chunk.array].data + chunk.first, chunk.count);
  });
  std::vector<double> of_spans(spans.size());
  for (size_t i = 0; i < chunks.size(); ++i) of_spans[chunks[i].array] += sums[i];
  return of_spans;
}

void adam(const AdamStep& step, const AverageStep& average,
          const std::vector<AdamSpan>& parameters) {
  const auto kernel = DDPM_SIMD_CHOOSE(adam_span);
  const std::vector<Chunk> chunks = chunks_of(parameters);
  for_each_task(static_cast<int64_t>(chunks.size()), work_of(chunks), [&](int64_t i) {
    const Chunk& chunk = chunks[i];
    const AdamSpan& p = parameters[chunk.array];
    kernel(step, average,
           {.count = chunk.count,
            .weight = p.weight + chunk.first,
            .grad = p.grad + chunk.first,
            .moment1 = p.moment1 + chunk.first,
            .moment2 = p.moment2 + chunk.first,
            .ema = p.ema ? p.ema + chunk.first : nullptr,
            .keep = p.keep});
  });
}

void move_averages(const AverageStep& step, const std::vector<AverageSpan>& tensors) {
  const auto kernel = DDPM_SIMD_CHOOSE(average_span);
  const std::vector<Chunk> chunks = chunks_of(tensors);
  for_each_task(static_cast<int64_t>(chunks.size()), work_of(chunks), [&](int64_t i) {
    const Chunk& chunk = chunks[i];
    const AverageSpan& t = tensors[chunk.array];
    kernel(
        step,
        {.count = chunk.count, .value = t.value + chunk.first, .average = t.average + chunk.first});
  });
}

AverageStep average_step(double decay) {
  return {.decay = static_cast<float>(decay), .share = static_cast<float>(1 - decay)};
}

AdamStep adam_step(const AdamArgs& args) {
  const double t = static_cast<double>(args.step);
  return {.grad_scale = static_cast<float>(args.grad_scale),
          .share1 = static_cast<float>(1 - args.beta1),
          .share2 = static_cast<float>(1 - args.beta2),
          .rate = static_cast<float>(args.learning_rate / (1 - std::pow(args.beta1, t))),
          .inverse_correction = static_cast<float>(1 / std::sqrt(1 - std::pow(args.beta2, t))),
          .eps = static_cast<float>(args.eps)};
}

}  // namespace
}  // namespace ddpm::cpu

namespace ddpm {

void CpuBackend::run(const op::SumOfSquares& o) {
  std::vector<cpu::Span> spans;
  for (const Tensor& tensor : o.tensors) spans.push_back({tensor.f32(), tensor.elements()});
  o.sums = cpu::sums_of_squares(spans);
}

void CpuBackend::run(const op::Adam& o) {
  std::vector<cpu::AdamSpan> spans;
  for (AdamParameter& p : o.parameters) {
    spans.push_back({.count = p.weight.elements(),
                     .weight = p.weight.f32(),
                     .grad = p.grad.f32(),
                     .moment1 = p.moment1.f32(),
                     .moment2 = p.moment2.f32(),
                     .ema = p.ema.defined() ? p.ema.f32() : nullptr,
                     .keep = static_cast<float>(p.keep)});
  }
  cpu::adam(cpu::adam_step(o.args), cpu::average_step(o.args.ema_decay), spans);
}

void CpuBackend::run(const op::MoveAverages& o) {
  std::vector<cpu::AverageSpan> spans;
  for (AveragedTensor& tensor : o.tensors)
    spans.push_back({tensor.value.elements(), tensor.value.f32(), tensor.average.f32()});
  cpu::move_averages(cpu::average_step(o.decay), spans);
}

}  // namespace ddpm
#endif
