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

double CpuBackend::loss(LossKind kind, const Tensor& prediction, const Tensor& target) {
  return cpu::mean_loss(shape_of(kind), prediction.f32(), target.f32(), prediction.elements());
}

void CpuBackend::loss_backward(LossKind kind, const Tensor& prediction, const Tensor& target,
                               float upstream, Tensor& dprediction) {
  cpu::mean_loss_backward(shape_of(kind), prediction.f32(), target.f32(), prediction.elements(),
                          upstream, dprediction.f32());
}

void CpuBackend::normal(const std::vector<uint64_t>& seeds, uint64_t stream, Tensor& x) {
  const int64_t images = x.size(0);
  cpu::fill_normal(seeds.data(), stream, images, x.elements() / std::max<int64_t>(images, 1),
                   x.f32());
}

double CpuBackend::sum_of_squares(const std::vector<Tensor>& tensors) {
  std::vector<cpu::Span> spans;
  for (const Tensor& tensor : tensors) spans.push_back({tensor.f32(), tensor.elements()});
  return cpu::sum_of_squares(spans);
}

void CpuBackend::adam(const AdamArgs& args, std::vector<AdamParameter>& parameters) {
  std::vector<cpu::AdamSpan> spans;
  for (AdamParameter& p : parameters) {
    spans.push_back({.count = p.weight.elements(),
                     .weight = p.weight.f32(),
                     .grad = p.grad.f32(),
                     .moment1 = p.moment1.f32(),
                     .moment2 = p.moment2.f32(),
                     .ema = p.ema.defined() ? p.ema.f32() : nullptr});
  }
  cpu::adam(adam_step(args), spans);
}

}  // namespace ddpm
