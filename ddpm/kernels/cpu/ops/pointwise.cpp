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

void CpuBackend::activation(Activation kind, const Tensor& x, Tensor& y) {
  cpu::activate(curve_of(kind), x.f32(), x.elements(), y.f32());
}

void CpuBackend::activation_backward(Activation kind, const Tensor& dy, const Tensor& x,
                                     Tensor& dx) {
  cpu::activate_backward(curve_of(kind), dy.f32(), x.f32(), x.elements(), dx.f32());
}

void CpuBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  cpu::add(a.f32(), b.f32(), y.elements(), y.f32());
}

void CpuBackend::combine(const std::vector<const Tensor*>& inputs,
                         const std::vector<std::vector<float>>& coefficients, Tensor& y) {
  const int64_t images = y.size(0);
  std::vector<cpu::Term> terms;
  for (size_t i = 0; i < inputs.size(); ++i) {
    terms.push_back({inputs[i]->f32(), coefficients[i].data()});
  }
  cpu::combine(images, y.elements() / std::max<int64_t>(images, 1), terms, y.f32());
}

void CpuBackend::clamp(float low, float high, Tensor& x) {
  cpu::clamp(low, high, x.elements(), x.f32());
}

}  // namespace ddpm
