// The losses that op::Loss defines. Use the threads of the pool; results do not depend on their
// number.
#pragma once

#include <cstdint>

namespace ddpm::cpu {

enum class LossShape { kSquare, kAbsolute, kHuber };  // Huber with delta = 1

// Two arrays of `images` images of `size` elements, and a weight for each image; null: all are 1.
struct LossPair {
  int64_t images;
  int64_t size;
  const float* prediction;
  const float* target;
  const float* weights;
};

// The mean over all elements of weight * loss.
double mean_loss(LossShape shape, const LossPair& pair);
// dprediction = upstream * d(mean loss) / d(prediction).
void mean_loss_backward(LossShape shape, const LossPair& pair, float upstream, float* dprediction);

}  // namespace ddpm::cpu
