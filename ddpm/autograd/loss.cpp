#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"

namespace ddpm {

Loss mean_loss(LossKind kind, const Variable& prediction, const Tensor& target) {
  check_shape("loss", "the target", target.shape(), prediction.shape());
  return {backend_for(target.device()).loss(kind, prediction.value(), target), prediction, target,
          kind};
}

void Loss::backward(Tape& tape) const {
  Tensor dprediction = like(prediction.value());
  backend_for(target.device()).loss_backward(kind, prediction.value(), target, 1.0f, dprediction);
  tape.backward(prediction, std::move(dprediction));
}

}  // namespace ddpm
