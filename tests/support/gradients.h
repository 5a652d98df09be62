// Checks the backward pass of operations by finite differences.
#pragma once

#include <functional>
#include <vector>

#include "ddpm/autograd/variable.h"

namespace ddpm::test {

using Operation = std::function<Variable(const std::vector<Variable>& inputs)>;

// Compares the gradient that the tape gives for sum(out * weights), where the weights are fixed
// random numbers, with central differences of the same sum in double. Returns the largest
// difference over all elements of all inputs, relative to the largest gradient of that input.
double worst_gradient_error(const Operation& operation, const std::vector<Tensor>& inputs,
                            double step = 0.03);

// Standard normal numbers, which depend on the seed only, times scale plus offset.
Tensor random_tensor(Shape shape, uint64_t seed, float scale = 1, float offset = 0);

}  // namespace ddpm::test
