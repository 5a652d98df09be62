// Group normalization and weight standardization: tensors in, pointers and extents out.
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

// Weights as a matrix whose columns lead to one output each.
int64_t rows_of(const Tensor& w) { return w.elements() / std::max<int64_t>(w.size(-1), 1); }

}  // namespace

void CpuBackend::group_norm(const NormArgs& args, const Tensor& x, const Tensor& gamma,
                            const Tensor& beta, const Tensor* film, const Tensor* residual,
                            Tensor& y, Tensor& mean, Tensor& rstd) {
  cpu::group_norm(group_norm_of(args, x), x.f32(), weights_of(gamma, beta, film),
                  residual ? residual->f32() : nullptr, y.f32(), mean.f32(), rstd.f32());
}

void CpuBackend::group_norm_again(const NormArgs& args, const Tensor& x, const Tensor& gamma,
                                  const Tensor& beta, const Tensor* film, const Tensor& mean,
                                  const Tensor& rstd, Tensor& y) {
  cpu::group_norm_again(group_norm_of(args, x), x.f32(), weights_of(gamma, beta, film), mean.f32(),
                        rstd.f32(), y.f32());
}

void CpuBackend::group_norm_backward(const NormArgs& args, const Tensor& dy, const Tensor& x,
                                     const Tensor& gamma, const Tensor& beta, const Tensor* film,
                                     const Tensor& mean, const Tensor& rstd, Tensor& dx,
                                     Tensor& dgamma, Tensor& dbeta, Tensor* dfilm) {
  cpu::group_norm_backward(group_norm_of(args, x), dy.f32(), x.f32(), weights_of(gamma, beta, film),
                           mean.f32(), rstd.f32(),
                           {dx.f32(), dgamma.f32(), dbeta.f32(), dfilm ? dfilm->f32() : nullptr});
}

void CpuBackend::weight_moments(double eps, const Tensor& w, Tensor& mean, Tensor& rstd) {
  cpu::weight_moments(eps, w.f32(), rows_of(w), w.size(-1), mean.f32(), rstd.f32());
}

void CpuBackend::weight_standardize_backward(const Tensor& dstandardized, const Tensor& w,
                                             const Tensor& mean, const Tensor& rstd, Tensor& dw) {
  cpu::weight_standardize_backward(dstandardized.f32(), w.f32(), rows_of(w), w.size(-1), mean.f32(),
                                   rstd.f32(), dw.f32());
}

}  // namespace ddpm
