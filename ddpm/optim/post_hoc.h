// Averages of the weights whose width is chosen after the training (Karras et al. 2023,
// arXiv:2312.02696, section 3 and appendix C).
//
// A power-function average at time t weights the weights at an earlier time u by p(u) = (gamma + 1)
// u^gamma / t^(gamma + 1). Its relative width sigma_rel is the standard deviation of that
// distribution divided by t. Any other such average is nearly a combination of stored ones, whose
// coefficients are found by least squares between the distributions (algorithm 3).
//
// Times are counts of steps or of pictures: only their ratios matter.
#pragma once

#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The exponent of the average of a relative width: the root above 0 of sigma_rel^2 = (gamma + 1)
// (gamma + 2)^-2 (gamma + 3)^-1. The width must be from 0.0001 to 0.288, which is that of
// gamma = 0, the mean of all weights. Throws UsageError otherwise.
double power_gamma(double width);
// The opposite.
double power_width(double gamma);

// When an average was stored, and its exponent.
struct PowerProfile {
  double time = 0;
  double gamma = 0;
};

// The coefficient of each stored average in the best approximation of `wanted`: those that minimise
// the integral of (sum of coefficient * p - p_wanted)^2 over time. In double. Throws UsageError if
// there are none, or a time is not above 0.
std::vector<double> post_hoc_coefficients(const std::vector<PowerProfile>& stored,
                                          const PowerProfile& wanted);

// How far a combination of stored averages is from the wanted one: the root of that integral,
// divided by the root of the integral of p_wanted^2. 0 is equal, 1 is as far as no average at all.
// One coefficient for each stored average. Throws UsageError as above.
double post_hoc_error(const std::vector<PowerProfile>& stored,
                      const std::vector<double>& coefficients, const PowerProfile& wanted);

// Adds a term of an average made of stored ones: total += coefficient * x, elementwise, in double.
// So they need not be in memory at the same time.
void add_scaled(double coefficient, const Tensor& x, std::vector<double>& total);

}  // namespace ddpm
