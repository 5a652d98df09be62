#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

Tensor sinusoidal_embedding(const Tensor& t, int64_t dim) {
  check_rank("sinusoidal_embedding", "t", t.shape(), 1);
  if (dim < 2 || dim % 2 != 0) {
    fail("sinusoidal_embedding", fmt::format("dim is {} but must be even and at least 2", dim));
  }
  Tensor y = beside(t, {t.size(0), dim});
  backend_for(y.device()).run(op::SinusoidalEmbedding{.t = t, .y = y});
  return y;
}

Loss mean_loss(LossKind kind, const Variable& prediction, const Tensor& target,
               const Tensor& weights) {
  check_shape("loss", "the target", target.shape(), prediction.shape());
  if (weights.defined()) {
    check_shape("loss", "the weights", weights.shape(), {prediction.shape()[0]});
  }
  Loss loss{.prediction = prediction, .target = target, .weights = weights, .kind = kind};
  backend_for(target.device())
      .run(op::Loss{.kind = kind,
                    .prediction = prediction.value(),
                    .target = target,
                    .weights = weights.defined() ? &weights : nullptr,
                    .mean = loss.value});
  return loss;
}

void Loss::backward(Tape& tape) const {
  Tensor dprediction = like(prediction.value());
  backend_for(target.device())
      .run(op::LossBackward{.kind = kind,
                            .prediction = prediction.value(),
                            .target = target,
                            .weights = weights.defined() ? &weights : nullptr,
                            .dprediction = dprediction});
  tape.backward(prediction, std::move(dprediction));
}

}  // namespace ddpm
