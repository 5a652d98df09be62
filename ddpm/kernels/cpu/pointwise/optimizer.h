// What an optimizer step does to all parameters at once. Uses the threads of the pool; results do
// not depend on their number.
#pragma once

#include <cstdint>
#include <vector>

namespace ddpm::cpu {

struct Span {
  const float* data;
  int64_t count;
};
// Sum over all spans of the squares of their elements, in double.
double sum_of_squares(const std::vector<Span>& spans);

// What is the same for every element. Averages move by a share of the distance, which stays exact
// where the share is small: 1 - 0.999 in float32 is wrong by 1e-5.
struct AdamStep {
  float grad_scale;
  float share1, share2;      // 1 - beta
  float rate;                // learning rate over the first moment's bias correction
  float inverse_correction;  // of the root of the second moment
  float eps;
  float ema_decay, ema_share;
};

// A parameter, or a part of one.
struct AdamSpan {
  int64_t count;
  float* weight;
  const float* grad;
  float* moment1;
  float* moment2;
  float* ema;  // or null
};

void adam(const AdamStep& step, const std::vector<AdamSpan>& parameters);

}  // namespace ddpm::cpu
