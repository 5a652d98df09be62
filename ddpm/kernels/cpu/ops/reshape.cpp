// Moving data: tensors in, pointers and extents out. Cells of another size than 2 x 2, which the
// network does not have, are left to ref.
#include "ddpm/kernels/cpu/pointwise/reshape.h"

#include <algorithm>

#include "ddpm/kernels/cpu/ops/cpu_backend.h"

namespace ddpm {

void CpuBackend::space_to_depth(int64_t size, const Tensor& x, Tensor& y) {
  if (size != 2) return RefBackend::space_to_depth(size, x, y);
  cpu::fold_cells(y.size(0) * y.size(1), y.size(2), x.size(3), x.f32(), y.f32());
}

void CpuBackend::depth_to_space(int64_t size, const Tensor& x, Tensor& y) {
  if (size != 2) return RefBackend::depth_to_space(size, x, y);
  cpu::unfold_cells(x.size(0) * x.size(1), x.size(2), y.size(3), x.f32(), y.f32());
}

void CpuBackend::upsample_nearest(const Tensor& x, Tensor& y) {
  cpu::upsample(x.size(0) * x.size(1), x.size(2), x.size(3), x.f32(), y.f32());
}

void CpuBackend::upsample_nearest_backward(const Tensor& dy, Tensor& dx) {
  cpu::upsample_backward(dx.size(0) * dx.size(1), dx.size(2), dx.size(3), dy.f32(), dx.f32());
}

void CpuBackend::concat_channels(const Tensor& a, const Tensor& b, Tensor& y) {
  const int64_t first = a.size(-1), second = b.size(-1);
  const int64_t rows = y.elements() / std::max<int64_t>(first + second, 1);
  cpu::join_columns(rows, first, second, a.f32(), b.f32(), y.f32());
}

void CpuBackend::split_channels(const Tensor& y, Tensor* a, Tensor* b) {
  const int64_t both = y.size(-1), first = a ? a->size(-1) : both - b->size(-1);
  cpu::split_columns(y.elements() / std::max<int64_t>(both, 1), first, both - first, y.f32(),
                     a ? a->f32() : nullptr, b ? b->f32() : nullptr);
}

}  // namespace ddpm
