// Gradients against central differences. For the tests of ref, whose sums are exact enough for
// them.
#pragma once

#include <gtest/gtest.h>

#include "ddpm/tensor/tensor.h"

namespace ddpm::testing {

// The sum of the products of their elements, in double.
inline double inner(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.elements(); ++i) sum += double{a.f32()[i]} * b.f32()[i];
  return sum;
}

// Expects the gradient to be that of objective() in every element of the input.
template <class Objective>
void expect_central_differences(const char* name, Tensor& input, const Tensor& gradient,
                                double tolerance, const Objective& objective) {
  for (int64_t i = 0; i < input.elements(); ++i) {
    const float kept = input.f32()[i], h = 0x1p-7f;
    input.f32()[i] = kept + h;
    const double up = objective();
    input.f32()[i] = kept - h;
    const double down = objective();
    input.f32()[i] = kept;
    EXPECT_NEAR(gradient.f32()[i], (up - down) / (2 * h), tolerance) << name << " " << i;
  }
}

}  // namespace ddpm::testing
