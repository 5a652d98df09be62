#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

Variable space_to_depth(const Variable& x, int64_t size) {
  check_rank("space_to_depth", "x", x.shape(), 4);
  const Shape& shape = x.shape();
  if (size < 1 || shape[1] % size != 0 || shape[2] % size != 0) {
    fail("space_to_depth",
         fmt::format("the sides of x {} are not divisible by {}", shape.str(), size));
  }
  Tensor y =
      beside(x.value(), {shape[0], shape[1] / size, shape[2] / size, shape[3] * size * size});
  backend_for(y.device()).run(op::SpaceToDepth{.size = size, .x = x.value(), .y = y});
  if (!Tape::recording({&x})) return Variable(y);
  return Tape::record(y, [size, shape, slot = x.slot()](Tensor dy) {
    Tensor dx = beside(dy, shape);
    backend_for(dy.device()).run(op::DepthToSpace{.size = size, .x = dy, .y = dx});
    slot->accumulate(std::move(dx));
  });
}

Variable upsample_nearest(const Variable& x) {
  check_rank("upsample_nearest", "x", x.shape(), 4);
  const Shape& shape = x.shape();
  Tensor y = beside(x.value(), {shape[0], 2 * shape[1], 2 * shape[2], shape[3]});
  backend_for(y.device()).run(op::UpsampleNearest{.x = x.value(), .y = y});
  if (!Tape::recording({&x})) return Variable(y);
  return Tape::record(y, [shape, slot = x.slot()](Tensor dy) {
    Tensor dx = beside(dy, shape);
    backend_for(dy.device()).run(op::UpsampleNearestBackward{.dy = dy, .dx = dx});
    slot->accumulate(std::move(dx));
  });
}

Variable concat_channels(const Variable& a, const Variable& b) {
  check_rank("concat_channels", "a", a.shape(), 4);
  check_rank("concat_channels", "b", b.shape(), 4);
  const Shape as = a.shape(), bs = b.shape();
  if (as[0] != bs[0] || as[1] != bs[1] || as[2] != bs[2]) {
    fail("concat_channels",
         fmt::format("{} and {} differ in more than their channels", as.str(), bs.str()));
  }
  Tensor y = beside(a.value(), {as[0], as[1], as[2], as[3] + bs[3]});
  backend_for(y.device()).run(op::ConcatChannels{.a = a.value(), .b = b.value(), .y = y});
  if (!Tape::recording({&a, &b})) return Variable(y);
  return Tape::record(y, [as, bs, a_slot = a.slot(), b_slot = b.slot()](Tensor dy) {
    Tensor da = a_slot ? beside(dy, as) : Tensor(), db = b_slot ? beside(dy, bs) : Tensor();
    backend_for(dy.device())
        .run(op::SplitChannels{.y = dy, .a = a_slot ? &da : nullptr, .b = b_slot ? &db : nullptr});
    if (a_slot) a_slot->accumulate(std::move(da));
    if (b_slot) b_slot->accumulate(std::move(db));
  });
}

}  // namespace ddpm
