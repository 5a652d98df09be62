// RMS normalisation: tensors in, pointers and extents out.
#include "ddpm/kernels/cpu/norm/rms_norm.h"

#include <algorithm>

#include "ddpm/kernels/cpu/ops/cpu_backend.h"

namespace ddpm {
namespace {

cpu::RmsNorm rms_norm_of(const RmsNormArgs& args, const Tensor& x, const Tensor& g,
                         const Tensor* film) {
  const int64_t images = x.size(0), channels = x.size(-1);
  return {.images = images,
          .positions = x.elements() / std::max<int64_t>(images * channels, 1),
          .channels = channels,
          .silu = args.silu,
          .g = g.f32(),
          .film = film ? film->f32() : nullptr};
}

}  // namespace

void CpuBackend::run(const op::RmsNorm& o) {
  cpu::rms_norm(rms_norm_of(o.args, o.x, o.g, o.film), o.x.f32(),
                o.residual ? o.residual->f32() : nullptr, o.y.f32());
}

void CpuBackend::run(const op::RmsNormBackward& o) {
  cpu::rms_norm_backward(rms_norm_of(o.args, o.x, o.g, o.film), o.dy.f32(), o.x.f32(),
                         {o.dx.f32(), o.dg.f32(), o.dfilm ? o.dfilm->f32() : nullptr});
}

}  // namespace ddpm
