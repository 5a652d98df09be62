// Finite differences: the judge of every operation's backward pass.
#pragma once

#include <functional>
#include <vector>

#include "ddpm/autograd/variable.h"

namespace ddpm::test {

using Operation = std::function<Variable(const std::vector<Variable>& inputs)>;

// The worst difference, over all elements of all inputs, between the gradient that the tape gives
// for sum(out * weights) (weights fixed random numbers) and central differences of it summed in
// double, relative to the largest gradient of that input.
double worst_gradient_error(const Operation& operation, const std::vector<Tensor>& inputs,
                            double step = 0.03);

// Standard normal numbers, a function of the seed alone.
Tensor random_tensor(Shape shape, uint64_t seed, float scale = 1, float offset = 0);

}  // namespace ddpm::test
