// The losses that Backend::loss defines, over arrays of `count` elements. Use the threads of the
// pool; results do not depend on their number.
#pragma once

#include <cstdint>

namespace ddpm::cpu {

enum class LossShape { kSquare, kAbsolute, kHuber };  // Huber with delta = 1

// The mean over all elements.
double mean_loss(LossShape shape, const float* prediction, const float* target, int64_t count);
// dprediction = upstream * d(mean loss) / d(prediction).
void mean_loss_backward(LossShape shape, const float* prediction, const float* target,
                        int64_t count, float upstream, float* dprediction);

}  // namespace ddpm::cpu
