// Every operation in plain loops. They define what the operations mean, and every test compares
// with them. Sums are in double, statistics take two passes, and softmaxes subtract the maximum.
// One thread computes each output in one order, so results do not depend on the thread count.
//
// Tensors are in host memory. Images may have any rank >= 2: the first axis counts images, the last
// one channels, and those between are positions. SpaceToDepth and the like need [N, H, W, C].
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

  // As many images as fit in the last-level cache of a processor with their widest activation.
  int64_t images_at_once(const Shape& widest) const override;
};

}  // namespace ddpm
