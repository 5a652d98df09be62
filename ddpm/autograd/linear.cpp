#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

Variable linear(const Variable& x, const Variable& w, const Variable* bias) {
  check_rank("linear", "x", x.shape(), 2);
  check_rank("linear", "w", w.shape(), 2);
  if (x.shape()[1] != w.shape()[0]) {
    fail("linear", fmt::format("x {} does not fit w {}", x.shape().str(), w.shape().str()));
  }
  if (bias != nullptr) check_shape("linear", "bias", bias->shape(), {w.shape()[1]});
  Tensor y = beside(x.value(), {x.shape()[0], w.shape()[1]});
  backend_for(y.device())
      .run(op::Linear{
          .x = x.value(), .w = w.value(), .bias = bias ? &bias->value() : nullptr, .y = y});
  if (!Tape::recording({&x, &w, bias})) return Variable(y);
  return Tape::record(y, [xv = x.value(), xs = x.slot(), wv = w.value(), ws = w.slot(),
                          bs = bias ? bias->slot() : nullptr](Tensor dy) {
    Backend& backend = backend_for(dy.device());
    if (ws || bs) {
      Tensor dw = like(wv);
      Tensor dbias = bs ? beside(wv, {wv.size(1)}) : Tensor();
      backend.run(
          op::LinearBackwardWeights{.x = xv, .dy = dy, .dw = dw, .dbias = bs ? &dbias : nullptr});
      if (ws) ws->accumulate(std::move(dw));
      if (bs) bs->accumulate(std::move(dbias));
    }
    if (xs) {
      Tensor dx = like(xv);
      backend.run(op::LinearBackwardData{.dy = dy, .w = wv, .dx = dx});
      xs->accumulate(std::move(dx));
    }
  });
}

}  // namespace ddpm
