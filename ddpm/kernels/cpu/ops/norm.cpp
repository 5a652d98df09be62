// Group normalization and weight standardization: turns tensors into pointers and extents.
#include <algorithm>

#include "ddpm/kernels/cpu/norm/group_norm.h"
#include "ddpm/kernels/cpu/norm/weight_standardization.h"
#include "ddpm/kernels/cpu/ops/cpu_backend.h"

namespace ddpm {
namespace {

cpu::GroupNorm group_norm_of(const NormArgs& args, const Tensor& x) {
  const int64_t images = x.size(0), channels = x.size(-1);
  return {.images = images,
          .positions = x.elements() / std::max<int64_t>(images * channels, 1),
          .channels = channels,
          .groups = args.groups,
          .eps = args.eps,
          .silu = args.silu};
}

cpu::GroupNormWeights weights_of(const Tensor& gamma, const Tensor& beta, const Tensor* film) {
  return {gamma.f32(), beta.f32(), film ? film->f32() : nullptr};
}

// Weights as a matrix with one column for each output.
int64_t rows_of(const Tensor& w) { return w.elements() / std::max<int64_t>(w.size(-1), 1); }

}  // namespace

void CpuBackend::run(const op::GroupNorm& o) {
  cpu::group_norm(group_norm_of(o.args, o.x), o.x.f32(), weights_of(o.gamma, o.beta, o.film),
                  o.residual ? o.residual->f32() : nullptr, o.y.f32(), o.mean.f32(), o.rstd.f32());
}

void CpuBackend::run(const op::GroupNormAgain& o) {
  cpu::group_norm_again(group_norm_of(o.args, o.x), o.x.f32(), weights_of(o.gamma, o.beta, o.film),
                        o.mean.f32(), o.rstd.f32(), o.y.f32());
}

void CpuBackend::run(const op::GroupNormBackward& o) {
  cpu::group_norm_backward(
      group_norm_of(o.args, o.x), o.dy.f32(), o.x.f32(), weights_of(o.gamma, o.beta, o.film),
      o.mean.f32(), o.rstd.f32(),
      {o.dx.f32(), o.dgamma.f32(), o.dbeta.f32(), o.dfilm ? o.dfilm->f32() : nullptr});
}

void CpuBackend::run(const op::WeightMoments& o) {
  cpu::weight_moments(o.eps, o.w.f32(), rows_of(o.w), o.w.size(-1), o.mean.f32(), o.rstd.f32());
}

void CpuBackend::run(const op::WeightStandardizeBackward& o) {
  cpu::weight_standardize_backward(o.dstandardized.f32(), o.w.f32(), rows_of(o.w), o.w.size(-1),
                                   o.mean.f32(), o.rstd.f32(), o.dw.f32());
}

}  // namespace ddpm
