// Element-wise operations on dense arrays. Use the threads of the pool; results do not depend on
// their number.
#pragma once

#include <cstdint>
#include <vector>

namespace ddpm::cpu {

enum class Curve { kSilu, kGelu };  // x sigmoid(x); x Phi(x) with the exact erf

void activate(Curve curve, const float* x, int64_t count, float* y);
void activate_backward(Curve curve, const float* dy, const float* x, int64_t count, float* dx);

void add(const float* a, const float* b, int64_t count, float* y);  // y may be a or b

// y[n, i] = sum over terms of factors[n] * input[n, i]; y may be one of the inputs.
struct Term {
  const float* input;    // [images, size]
  const float* factors;  // [images]
};
inline constexpr int kMostTerms = 3;
void combine(int64_t images, int64_t size, const std::vector<Term>& terms, float* y);

void clamp(float low, float high, int64_t count, float* x);  // in place; NaN stays NaN

}  // namespace ddpm::cpu
