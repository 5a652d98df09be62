#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

namespace {

// A tensor that may be empty, for an operation.
const Tensor* given(const Tensor& tensor) { return tensor.defined() ? &tensor : nullptr; }

}  // namespace

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
                    .weights = given(weights),
                    .mean = loss.value});
  return loss;
}

Loss hybrid_loss(LossKind kind, const Variable& output, const Tensor& target, const Tensor& weights,
                 Bound bound) {
  check_rank("loss", "the output", output.shape(), 4);
  const Shape& all = output.shape();
  const Shape half = {all[0], all[1], all[2], all[3] / 2};
  if (half[3] * 2 != all[3]) {
    fail("loss", fmt::format("the output {} has no channels for a variance", all.str()));
  }
  check_shape("loss", "the target", target.shape(), half);
  check_shape("loss", "the images", bound.x0.shape(), half);
  if (bound.target.defined()) check_shape("loss", "the bound's target", bound.target.shape(), half);
  if (weights.defined()) check_shape("loss", "the weights", weights.shape(), {half[0]});
  if (static_cast<int64_t>(bound.levels.size()) != half[0]) {
    fail("loss", fmt::format("{} levels for {} images", bound.levels.size(), half[0]));
  }
  Loss loss{.prediction = output,
            .target = target,
            .weights = weights,
            .kind = kind,
            .bound = std::move(bound)};
  backend_for(target.device())
      .run(op::HybridLoss{.kind = kind,
                          .output = output.value(),
                          .target = target,
                          .x0 = loss.bound->x0,
                          .bound_target = given(loss.bound->target),
                          .weights = given(weights),
                          .levels = loss.bound->levels,
                          .bound_weight = loss.bound->weight,
                          .mean = loss.value});
  return loss;
}

void Loss::backward(Tape& tape, double share) const {
  const auto upstream = static_cast<float>(share);
  Tensor gradient = like(prediction.value());
  Backend& backend = backend_for(target.device());
  if (bound) {
    backend.run(op::HybridLossBackward{.kind = kind,
                                       .output = prediction.value(),
                                       .target = target,
                                       .x0 = bound->x0,
                                       .bound_target = given(bound->target),
                                       .weights = given(weights),
                                       .levels = bound->levels,
                                       .bound_weight = bound->weight,
                                       .upstream = upstream,
                                       .doutput = gradient});
  } else {
    backend.run(op::LossBackward{.kind = kind,
                                 .prediction = prediction.value(),
                                 .target = target,
                                 .weights = given(weights),
                                 .upstream = upstream,
                                 .dprediction = gradient});
  }
  tape.backward(prediction, std::move(gradient));
}

}  // namespace ddpm
