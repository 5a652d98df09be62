// Losses, noise and the optimizer step: tensors in, pointers and extents out.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/kernels/cpu/ops/cpu_backend.h"
#include "ddpm/kernels/cpu/pointwise/loss.h"
#include "ddpm/kernels/cpu/pointwise/optimizer.h"
#include "ddpm/kernels/cpu/pointwise/random.h"

namespace ddpm {
namespace {

cpu::LossShape shape_of(LossKind kind) {
  switch (kind) {
    case LossKind::kL1:
      return cpu::LossShape::kAbsolute;
    case LossKind::kHuber:
      return cpu::LossShape::kHuber;
    case LossKind::kMse:
      break;
  }
  return cpu::LossShape::kSquare;
}

// Without weights the images are as one.
cpu::LossPair pair_of(const Tensor& prediction, const Tensor& target, const Tensor* weights) {
  const int64_t images = weights ? prediction.size(0) : 1;
  return {.images = images,
          .size = prediction.elements() / std::max<int64_t>(images, 1),
          .prediction = prediction.f32(),
          .target = target.f32(),
          .weights = weights ? weights->f32() : nullptr};
}

cpu::AdamStep adam_step(const AdamArgs& args) {
  const double t = static_cast<double>(args.step);
  return {.grad_scale = static_cast<float>(args.grad_scale),
          .share1 = static_cast<float>(1 - args.beta1),
          .share2 = static_cast<float>(1 - args.beta2),
          .rate = static_cast<float>(args.learning_rate / (1 - std::pow(args.beta1, t))),
          .inverse_correction = static_cast<float>(1 / std::sqrt(1 - std::pow(args.beta2, t))),
          .eps = static_cast<float>(args.eps),
          .ema_decay = static_cast<float>(args.ema_decay),
          .ema_share = static_cast<float>(1 - args.ema_decay)};
}

}  // namespace

void CpuBackend::run(const op::Loss& o) {
  o.mean = cpu::mean_loss(shape_of(o.kind), pair_of(o.prediction, o.target, o.weights));
}

void CpuBackend::run(const op::LossBackward& o) {
  cpu::mean_loss_backward(shape_of(o.kind), pair_of(o.prediction, o.target, o.weights), o.upstream,
                          o.dprediction.f32());
}

void CpuBackend::run(const op::Normal& o) {
  const int64_t images = o.x.size(0);
  cpu::fill_normal(o.seeds.data(), o.stream, images, o.x.elements() / std::max<int64_t>(images, 1),
                   o.x.f32());
}

void CpuBackend::run(const op::SumOfSquares& o) {
  std::vector<cpu::Span> spans;
  for (const Tensor& tensor : o.tensors) spans.push_back({tensor.f32(), tensor.elements()});
  o.sum = cpu::sum_of_squares(spans);
}

void CpuBackend::run(const op::Adam& o) {
  std::vector<cpu::AdamSpan> spans;
  for (AdamParameter& p : o.parameters) {
    spans.push_back({.count = p.weight.elements(),
                     .weight = p.weight.f32(),
                     .grad = p.grad.f32(),
                     .moment1 = p.moment1.f32(),
                     .moment2 = p.moment2.f32(),
                     .ema = p.ema.defined() ? p.ema.f32() : nullptr});
  }
  cpu::adam(adam_step(o.args), spans);
}

}  // namespace ddpm
