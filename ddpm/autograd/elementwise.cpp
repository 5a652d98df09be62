#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

Variable activation(Activation kind, const Variable& x) {
  Tensor y = like(x.value());
  backend_for(y.device()).run(op::Activate{.kind = kind, .x = x.value(), .y = y});
  if (!Tape::recording({&x})) return Variable(y);
  return Tape::record(y, [kind, xv = x.value(), xs = x.slot()](Tensor dy) {
    Tensor dx = like(xv);
    backend_for(dy.device()).run(op::ActivateBackward{.kind = kind, .dy = dy, .x = xv, .dx = dx});
    xs->accumulate(std::move(dx));
  });
}

Variable add(const Variable& a, const Variable& b) {
  check_shape("add", "the second term", b.shape(), a.shape());
  Tensor y = like(a.value());
  backend_for(y.device()).run(op::Add{.a = a.value(), .b = b.value(), .y = y});
  if (!Tape::recording({&a, &b})) return Variable(y);
  return Tape::record(y, [as = a.slot(), bs = b.slot()](Tensor dy) {
    if (as) as->accumulate(dy);
    if (bs) bs->accumulate(std::move(dy));
  });
}

Variable dropout(const Variable& x, double rate, const std::vector<uint64_t>& seeds,
                 uint64_t stream) {
  if (static_cast<int64_t>(seeds.size()) != x.shape()[0] || !(rate >= 0 && rate < 1)) {
    fail("dropout", fmt::format("{} seeds and a rate of {} for x {}; one seed for each image and a "
                                "rate of at least 0 and below 1 are needed",
                                seeds.size(), rate, x.shape().str()));
  }
  Tensor y = like(x.value());
  backend_for(y.device())
      .run(op::Dropout{.rate = rate, .seeds = seeds, .stream = stream, .x = x.value(), .y = y});
  if (!Tape::recording({&x})) return Variable(y);
  Variable output = Tape::record(y, [rate, seeds, stream, xs = x.slot()](Tensor dy) {
    Tensor dx = dy.unique() ? dy : like(dy);
    backend_for(dy.device())
        .run(op::Dropout{.rate = rate, .seeds = seeds, .stream = stream, .x = dy, .y = dx});
    xs->accumulate(std::move(dx));
  });
  output.recompute_by([rate, seeds, stream, xv = x.saved()] {
    const Tensor& from = xv.get();
    Tensor again = like(from);
    backend_for(from.device())
        .run(op::Dropout{.rate = rate, .seeds = seeds, .stream = stream, .x = from, .y = again});
    return again;
  });
  return output;
}

}  // namespace ddpm
