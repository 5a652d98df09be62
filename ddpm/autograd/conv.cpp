#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"

namespace ddpm {

Variable conv2d(const Variable& x, const Variable& w, const Variable* bias, const ConvArgs& args) {
  check_rank("conv2d", "x", x.shape(), 4);
  check_rank("conv2d", "w", w.shape(), 4);
  const int64_t kh = w.shape()[0], kw = w.shape()[1], outputs = w.shape()[3];
  if (x.shape()[3] != w.shape()[2]) {
    fail("conv2d", fmt::format("x {} has {} channels but w {} takes {}", x.shape().str(),
                               x.shape()[3], w.shape().str(), w.shape()[2]));
  }
  if (bias != nullptr) check_shape("conv2d", "bias", bias->shape(), {outputs});
  const int64_t rows = x.shape()[1] + 2 * args.padding - kh,
                columns = x.shape()[2] + 2 * args.padding - kw;
  if (args.stride < 1 || args.padding < 0 || rows < 0 || columns < 0) {
    fail("conv2d", fmt::format("a {}x{} kernel with stride {} and padding {} does not fit x {}", kh,
                               kw, args.stride, args.padding, x.shape().str()));
  }
  Tensor y =
      beside(x.value(), {x.shape()[0], rows / args.stride + 1, columns / args.stride + 1, outputs});
  backend_for(y.device()).conv2d(args, x.value(), w.value(), bias ? &bias->value() : nullptr, y);
  if (!Tape::recording({&x, &w, bias})) return Variable(y);
  return Tape::record(y, [args, xv = x.value(), xs = x.slot(), wv = w.value(), ws = w.slot(),
                          bs = bias ? bias->slot() : nullptr](Tensor dy) {
    Backend& backend = backend_for(dy.device());
    if (ws || bs) {
      Tensor dw = like(wv);
      Tensor dbias = bs ? beside(wv, {wv.size(3)}) : Tensor();
      backend.conv2d_backward_weights(args, xv, dy, dw, bs ? &dbias : nullptr);
      if (ws) ws->accumulate(std::move(dw));
      if (bs) bs->accumulate(std::move(dbias));
    }
    if (xs) {
      Tensor dx = like(xv);
      backend.conv2d_backward_data(args, dy, wv, dx);
      xs->accumulate(std::move(dx));
    }
  });
}

Variable weight_standardize(const Variable& w, double eps) {
  check_rank("weight_standardize", "w", w.shape(), 4);
  const Tensor& value = w.value();
  Tensor y = like(value), mean = beside(value, {value.size(3)}),
         rstd = beside(value, {value.size(3)});
  backend_for(y.device()).weight_standardize(eps, value, y, mean, rstd);
  if (!Tape::recording({&w})) return Variable(y);
  return Tape::record(y, [value, slot = w.slot(), mean, rstd](Tensor dy) {
    Tensor dw = like(value);
    backend_for(dy.device()).weight_standardize_backward(dy, value, mean, rstd, dw);
    slot->accumulate(std::move(dw));
  });
}

}  // namespace ddpm
