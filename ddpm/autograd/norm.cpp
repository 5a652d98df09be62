#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

Variable group_norm(const Variable& x, const Variable& gamma, const Variable& beta,
                    const Variable* film, const NormArgs& args, const Variable* residual) {
  check_rank("group_norm", "x", x.shape(), 4);
  const int64_t images = x.shape()[0], channels = x.shape()[3];
  check_shape("group_norm", "gamma", gamma.shape(), {channels});
  check_shape("group_norm", "beta", beta.shape(), {channels});
  if (film != nullptr) check_shape("group_norm", "film", film->shape(), {images, 2 * channels});
  if (args.groups < 1 || channels % args.groups != 0) {
    fail("group_norm", fmt::format("{} groups do not divide {} channels", args.groups, channels));
  }
  if (residual != nullptr) check_shape("group_norm", "residual", residual->shape(), x.shape());
  const Tensor& xv = x.value();
  Tensor y = like(xv), mean = beside(xv, {images, args.groups}),
         rstd = beside(xv, {images, args.groups});
  backend_for(y.device())
      .run(op::GroupNorm{.args = args,
                         .x = xv,
                         .gamma = gamma.value(),
                         .beta = beta.value(),
                         .film = film ? &film->value() : nullptr,
                         .residual = residual ? &residual->value() : nullptr,
                         .y = y,
                         .mean = mean,
                         .rstd = rstd});
  if (!Tape::recording({&x, &gamma, &beta, film, residual})) return Variable(y);
  const Tensor gv = gamma.value(), bv = beta.value(), fv = film ? film->value() : Tensor();
  Variable output =
      Tape::record(y, [args, xv, mean, rstd, gv, bv, fv, xs = x.slot(), gs = gamma.slot(),
                       bs = beta.slot(), fs = film ? film->slot() : nullptr,
                       rs = residual ? residual->slot() : nullptr](Tensor dy) {
        Tensor dx = like(xv), dgamma = like(gv), dbeta = like(bv),
               dfilm = fv.defined() ? like(fv) : Tensor();
        backend_for(dy.device())
            .run(op::GroupNormBackward{.args = args,
                                       .dy = dy,
                                       .x = xv,
                                       .gamma = gv,
                                       .beta = bv,
                                       .film = fv.defined() ? &fv : nullptr,
                                       .mean = mean,
                                       .rstd = rstd,
                                       .dx = dx,
                                       .dgamma = dgamma,
                                       .dbeta = dbeta,
                                       .dfilm = fv.defined() ? &dfilm : nullptr});
        if (xs) xs->accumulate(std::move(dx));
        if (gs) gs->accumulate(std::move(dgamma));
        if (bs) bs->accumulate(std::move(dbeta));
        if (fs) fs->accumulate(std::move(dfilm));
        if (rs) rs->accumulate(std::move(dy));
      });
  // Computing the result again takes one pass over x, which the tape keeps anyway.
  if (residual == nullptr) {
    output.recompute_by([args, xv, mean, rstd, gv, bv, fv] {
      Tensor again = like(xv);
      backend_for(again.device())
          .run(op::GroupNormAgain{.args = args,
                                  .x = xv,
                                  .gamma = gv,
                                  .beta = bv,
                                  .film = fv.defined() ? &fv : nullptr,
                                  .mean = mean,
                                  .rstd = rstd,
                                  .y = again});
      return again;
    });
  }
  return output;
}

Variable rms_norm(const Variable& x, const Variable& g, const Variable* film,
                  const RmsNormArgs& args, const Variable* residual) {
  check_rank("rms_norm", "x", x.shape(), 4);
  const int64_t images = x.shape()[0], channels = x.shape()[3];
  if (g.shape().elements() != channels) {
    fail("rms_norm", fmt::format("g {} does not hold one number for each of {} channels",
                                 g.shape().str(), channels));
  }
  if (film != nullptr) check_shape("rms_norm", "film", film->shape(), {images, 2 * channels});
  if (residual != nullptr) check_shape("rms_norm", "residual", residual->shape(), x.shape());
  const Tensor& xv = x.value();
  Tensor y = like(xv);
  backend_for(y.device())
      .run(op::RmsNorm{.args = args,
                       .x = xv,
                       .g = g.value(),
                       .film = film ? &film->value() : nullptr,
                       .residual = residual ? &residual->value() : nullptr,
                       .y = y});
  if (!Tape::recording({&x, &g, film, residual})) return Variable(y);
  const Tensor gv = g.value(), fv = film ? film->value() : Tensor();
  Variable output = Tape::record(
      y, [args, xv, gv, fv, xs = x.slot(), gs = g.slot(), fs = film ? film->slot() : nullptr,
          rs = residual ? residual->slot() : nullptr](Tensor dy) {
        Tensor dx = like(xv), dg = like(gv), dfilm = fv.defined() ? like(fv) : Tensor();
        backend_for(dy.device())
            .run(op::RmsNormBackward{.args = args,
                                     .dy = dy,
                                     .x = xv,
                                     .g = gv,
                                     .film = fv.defined() ? &fv : nullptr,
                                     .dx = dx,
                                     .dg = dg,
                                     .dfilm = fv.defined() ? &dfilm : nullptr});
        if (xs) xs->accumulate(std::move(dx));
        if (gs) gs->accumulate(std::move(dg));
        if (fs) fs->accumulate(std::move(dfilm));
        if (rs) rs->accumulate(std::move(dy));
      });
  // One pass over x, which is kept anyway.
  if (residual == nullptr) {
    output.recompute_by([args, xv, gv, fv] {
      Tensor again = like(xv);
      backend_for(again.device())
          .run(op::RmsNorm{
              .args = args, .x = xv, .g = gv, .film = fv.defined() ? &fv : nullptr, .y = again});
      return again;
    });
  }
  return output;
}

}  // namespace ddpm
