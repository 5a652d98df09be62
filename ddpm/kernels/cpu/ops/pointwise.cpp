// Element-wise operations: tensors in, pointers and extents out.
#include <algorithm>
#include <vector>

#include "ddpm/kernels/cpu/ops/cpu_backend.h"
#include "ddpm/kernels/cpu/pointwise/elementwise.h"

namespace ddpm {
namespace {

cpu::Curve curve_of(Activation kind) {
  return kind == Activation::kSilu ? cpu::Curve::kSilu : cpu::Curve::kGelu;
}

}  // namespace

void CpuBackend::run(const op::Activate& o) {
  cpu::activate(curve_of(o.kind), o.x.f32(), o.x.elements(), o.y.f32());
}

void CpuBackend::run(const op::ActivateBackward& o) {
  cpu::activate_backward(curve_of(o.kind), o.dy.f32(), o.x.f32(), o.x.elements(), o.dx.f32());
}

void CpuBackend::run(const op::Add& o) {
  cpu::add(o.a.f32(), o.b.f32(), o.y.elements(), o.y.f32());
}

void CpuBackend::run(const op::Combine& o) {
  const int64_t images = o.y.size(0);
  std::vector<cpu::Term> terms;
  for (size_t i = 0; i < o.inputs.size(); ++i) {
    terms.push_back({o.inputs[i]->f32(), o.coefficients[i].data()});
  }
  cpu::combine(images, o.y.elements() / std::max<int64_t>(images, 1), terms, o.y.f32());
}

void CpuBackend::run(const op::Clamp& o) { cpu::clamp(o.low, o.high, o.x.elements(), o.x.f32()); }

}  // namespace ddpm
