// Group normalisation on any backend, with outputs that are NaN until written. For tests.
#pragma once

#include <cmath>

#include "ddpm/kernels/backend.h"

namespace ddpm::testing {

struct GroupNormResult {
  Tensor y, mean, rstd;
};
struct GroupNormGradients {
  Tensor dx, dgamma, dbeta;
  Tensor dfilm;  // empty where film is
};

struct GroupNormProblem {
  GroupNormResult forward(Backend& on, const Tensor* residual = nullptr) const {
    const Shape statistics = {x.size(0), args.groups};
    GroupNormResult r{Tensor::full(x.shape(), NAN), Tensor::full(statistics, NAN),
                      Tensor::full(statistics, NAN)};
    on.run(op::GroupNorm{.args = args,
                         .x = x,
                         .gamma = gamma,
                         .beta = beta,
                         .film = film_or_null(),
                         .residual = residual,
                         .y = r.y,
                         .mean = r.mean,
                         .rstd = r.rstd});
    return r;
  }

  // y again, from the statistics.
  Tensor again(Backend& on, const GroupNormResult& of) const {
    Tensor y = Tensor::full(x.shape(), NAN);
    on.run(op::GroupNormAgain{.args = args,
                              .x = x,
                              .gamma = gamma,
                              .beta = beta,
                              .film = film_or_null(),
                              .mean = of.mean,
                              .rstd = of.rstd,
                              .y = y});
    return y;
  }

  GroupNormGradients backward(Backend& on, const Tensor& dy, const GroupNormResult& of) const {
    GroupNormGradients g{Tensor::full(x.shape(), NAN), Tensor::full(gamma.shape(), NAN),
                         Tensor::full(beta.shape(), NAN),
                         film.defined() ? Tensor::full(film.shape(), NAN) : Tensor()};
    on.run(op::GroupNormBackward{.args = args,
                                 .dy = dy,
                                 .x = x,
                                 .gamma = gamma,
                                 .beta = beta,
                                 .film = film_or_null(),
                                 .mean = of.mean,
                                 .rstd = of.rstd,
                                 .dx = g.dx,
                                 .dgamma = g.dgamma,
                                 .dbeta = g.dbeta,
                                 .dfilm = film.defined() ? &g.dfilm : nullptr});
    return g;
  }

  const Tensor* film_or_null() const { return film.defined() ? &film : nullptr; }

  NormArgs args;
  Tensor x, gamma, beta;
  Tensor film = {};  // empty: none
};

}  // namespace ddpm::testing
