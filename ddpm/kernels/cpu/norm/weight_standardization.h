// Weight standardization, as op::WeightMoments defines it. Weights are [rows, columns], and each
// column leads to one output. All functions use the threads of the pool; results do not depend on
// their number.
#pragma once

#include <cstdint>

namespace ddpm::cpu {

// mean and rstd [columns]; rstd is 0 where variance + eps is.
void weight_moments(double eps, const float* w, int64_t rows, int64_t columns, float* mean,
                    float* rstd);
// (w - mean) rstd, to `standardized` [rows, columns].
void standardize_weights(const float* w, int64_t rows, int64_t columns, const float* mean,
                         const float* rstd, float* standardized);
// dw from the gradient of the standardized weights; dw may be that.
void weight_standardize_backward(const float* dstandardized, const float* w, int64_t rows,
                                 int64_t columns, const float* mean, const float* rstd, float* dw);

}  // namespace ddpm::cpu
