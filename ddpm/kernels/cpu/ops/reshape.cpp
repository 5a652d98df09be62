// Moving data: tensors in, pointers and extents out. Cells of another size than 2 x 2, which the
// network does not have, are left to ref.
#include "ddpm/kernels/cpu/pointwise/reshape.h"

#include <algorithm>

#include "ddpm/kernels/cpu/ops/cpu_backend.h"

namespace ddpm {

void CpuBackend::run(const op::SpaceToDepth& o) {
  if (o.size != 2) return RefBackend::run(o);
  cpu::fold_cells(o.y.size(0) * o.y.size(1), o.y.size(2), o.x.size(3), o.x.f32(), o.y.f32());
}

void CpuBackend::run(const op::DepthToSpace& o) {
  if (o.size != 2) return RefBackend::run(o);
  cpu::unfold_cells(o.x.size(0) * o.x.size(1), o.x.size(2), o.y.size(3), o.x.f32(), o.y.f32());
}

void CpuBackend::run(const op::UpsampleNearest& o) {
  cpu::upsample(o.x.size(0) * o.x.size(1), o.x.size(2), o.x.size(3), o.x.f32(), o.y.f32());
}

void CpuBackend::run(const op::UpsampleNearestBackward& o) {
  cpu::upsample_backward(o.dx.size(0) * o.dx.size(1), o.dx.size(2), o.dx.size(3), o.dy.f32(),
                         o.dx.f32());
}

void CpuBackend::run(const op::ConcatChannels& o) {
  const int64_t first = o.a.size(-1), second = o.b.size(-1);
  const int64_t rows = o.y.elements() / std::max<int64_t>(first + second, 1);
  cpu::join_columns(rows, first, second, o.a.f32(), o.b.f32(), o.y.f32());
}

void CpuBackend::run(const op::SplitChannels& o) {
  const int64_t both = o.y.size(-1), first = o.a ? o.a->size(-1) : both - o.b->size(-1);
  cpu::split_columns(o.y.elements() / std::max<int64_t>(both, 1), first, both - first, o.y.f32(),
                     o.a ? o.a->f32() : nullptr, o.b ? o.b->f32() : nullptr);
}

}  // namespace ddpm
