#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

Tensor sinusoidal_embedding(const Tensor& t, int64_t dim, const SinusoidArgs& args) {
  check_rank("sinusoidal_embedding", "t", t.shape(), 1);
  const int64_t least = 2 * args.shift + 2;
  if (dim < least || dim % 2 != 0) {
    fail("sinusoidal_embedding",
         fmt::format("dim is {} but must be even and at least {}", dim, least));
  }
  Tensor y = beside(t, {t.size(0), dim});
  backend_for(y.device()).run(op::SinusoidalEmbedding{.args = args, .t = t, .y = y});
  return y;
}

Variable fourier_embedding(const Tensor& t, const Variable& w) {
  check_rank("fourier_embedding", "t", t.shape(), 1);
  check_rank("fourier_embedding", "w", w.shape(), 1);
  Tensor y = beside(t, {t.size(0), 2 * w.shape()[0] + 1});
  backend_for(y.device()).run(op::FourierEmbedding{.t = t, .w = w.value(), .y = y});
  if (!Tape::recording({&w})) return Variable(y);
  return Tape::record(y, [t, wv = w.value(), ws = w.slot()](Tensor dy) {
    Tensor dw = like(wv);
    backend_for(dy.device()).run(op::FourierEmbeddingBackward{.dy = dy, .t = t, .w = wv, .dw = dw});
    ws->accumulate(std::move(dw));
  });
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
