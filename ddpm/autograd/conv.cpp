#include <cmath>

#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"
#include "ddpm/autograd/inference.h"
#include "ddpm/kernels/backend.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

ConvInput input_of(const Tensor& x, const Tensor& more) {
  return {x, more.defined() ? &more : nullptr};
}

ConvWeights weights_of(const Tensor& w, const Tensor& mean, const Tensor& rstd) {
  return {w, mean.defined() ? &mean : nullptr, rstd.defined() ? &rstd : nullptr};
}

}  // namespace

Variable conv2d(const Variable& x, const Variable& w, const Variable* bias, const ConvArgs& args,
                const ConvExtras& extras) {
  check_rank("conv2d", "x", x.shape(), 4);
  check_rank("conv2d", "w", w.shape(), 4);
  const int64_t kh = w.shape()[0], kw = w.shape()[1], outputs = w.shape()[3];
  const Tensor more = extras.more ? extras.more->value() : Tensor();
  if (extras.more) {
    const Shape& a = x.shape();
    const Shape& b = more.shape();
    if (b.rank() != 4 || a[0] != b[0] || a[1] != b[1] || a[2] != b[2]) {
      fail("conv2d", fmt::format("{} and {} differ in more than their channels", a.str(), b.str()));
    }
  }
  const int64_t channels = x.shape()[3] + (extras.more ? more.size(3) : 0);
  if (channels != w.shape()[2]) {
    fail("conv2d", fmt::format("x {}{} has {} channels but w {} takes {}", x.shape().str(),
                               extras.more ? " with " + more.shape().str() : "", channels,
                               w.shape().str(), w.shape()[2]));
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
  Backend& backend = backend_for(y.device());
  const bool recording = Tape::recording({&x, &w, bias, extras.more});
  Inference::Prepared* kept = recording ? nullptr : Inference::of(w.value());
  Tensor mean = kept ? kept->mean : Tensor(), rstd = kept ? kept->rstd : Tensor();
  if (extras.standardize_eps && !mean.defined()) {
    mean = beside(w.value(), {outputs});
    rstd = beside(w.value(), {outputs});
    backend.run(op::WeightMoments{
        .eps = *extras.standardize_eps, .w = w.value(), .mean = mean, .rstd = rstd});
    if (kept) kept->mean = mean, kept->rstd = rstd;
  }
  ConvWeights weights = weights_of(w.value(), mean, rstd);
  weights.prepared = kept ? &kept->backend : nullptr;
  backend.run(op::Conv2d{.args = args,
                         .x = input_of(x.value(), more),
                         .w = weights,
                         .bias = bias ? &bias->value() : nullptr,
                         .y = y,
                         .training = Tape::training()});
  if (!recording) return Variable(y);
  return Tape::record(y, [args, x = x.saved(), xs = x.slot(), x_shape = x.shape(),
                          more = extras.more ? extras.more->saved() : Saved(),
                          ms = extras.more ? extras.more->slot() : nullptr,
                          more_shape = more.shape(), wv = w.value(), ws = w.slot(), mean, rstd,
                          bs = bias ? bias->slot() : nullptr](Tensor dy) {
    Backend& backend = backend_for(dy.device());
    if (ws || bs) {
      Tensor dw = like(wv);
      Tensor dbias = bs ? beside(wv, {wv.size(3)}) : Tensor();
      backend.run(op::Conv2dBackwardWeights{.args = args,
                                            .x = input_of(x.get(), more.get()),
                                            .dy = dy,
                                            .dw = dw,
                                            .dbias = bs ? &dbias : nullptr});
      if (ws && mean.defined())
        backend.run(op::WeightStandardizeBackward{
            .dstandardized = dw, .w = wv, .mean = mean, .rstd = rstd, .dw = dw});
      if (ws) ws->accumulate(std::move(dw));
      if (bs) bs->accumulate(std::move(dbias));
    }
    if (xs || ms) {
      Tensor dx = beside(dy, x_shape);
      Tensor dmore = more.defined() ? beside(dy, more_shape) : Tensor();
      backend.run(op::Conv2dBackwardData{.args = args,
                                         .dy = dy,
                                         .w = weights_of(wv, mean, rstd),
                                         .dx = dx,
                                         .dmore = more.defined() ? &dmore : nullptr,
                                         .training = true});
      if (xs) xs->accumulate(std::move(dx));
      if (ms) ms->accumulate(std::move(dmore));
    }
  });
}

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

Variable lookup(const Tensor& rows, const Variable& w) {
  check_rank("lookup", "rows", rows.shape(), 1);
  check_rank("lookup", "w", w.shape(), 2);
  if (rows.memory().holds_values()) {
    for (const float row : rows.values()) {
      if (row >= -1 && row < static_cast<float>(w.shape()[0]) && row == std::floor(row)) continue;
      fail("lookup", fmt::format("there is no row {} in w {}", row, w.shape().str()));
    }
  }
  Tensor y = beside(w.value(), {rows.size(0), w.shape()[1]});
  backend_for(y.device()).run(op::Lookup{.rows = rows, .w = w.value(), .y = y});
  if (!Tape::recording({&w})) return Variable(y);
  return Tape::record(y, [rows, shape = w.shape(), ws = w.slot()](Tensor dy) {
    Tensor dw = beside(dy, shape);
    backend_for(dy.device()).run(op::LookupBackward{.rows = rows, .dy = dy, .dw = dw});
    ws->accumulate(std::move(dw));
  });
}

}  // namespace ddpm
