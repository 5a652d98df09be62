// Every operation of the interface in plain loops: what each one means, and the oracle of every
// test. Sums run in double, statistics in two passes, softmaxes over maxima subtracted; each output
// is computed by one thread in one order, so results do not depend on the thread count.
//
// Tensors stand in host memory. "Image" tensors may have any rank >= 2: the first axis counts
// images, the last channels, what lies between are positions (SpaceToDepth and its kin need
// [N, H, W, C]).
#pragma once

#include "ddpm/kernels/backend.h"

namespace ddpm {

class RefBackend : public Backend {
 public:
  const char* name() const override { return "ref"; }

  // Defined in the file of each family.
#define DDPM_RUN(Operation) void run(const op::Operation& o) override;
  DDPM_FOR_EACH_OPERATION(DDPM_RUN)
#undef DDPM_RUN

  // As many images as leave the widest activation in the last-level cache of a processor.
  int64_t images_at_once(const Shape& widest) const override;
};

}  // namespace ddpm
