// How tests compare numbers, and the one table of the bounds. A test takes its bound from here and
// never uses a wider one.
#pragma once

#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm::test {

// ||got - want|| / ||want|| over all elements, summed in double. 0 where both are zero, infinity
// where only `want` is, NaN where either holds one. Throws Error where the shapes differ.
double relative_l2(const Tensor& got, const Tensor& want);

// ||tensor|| over all elements, summed in double.
double l2_norm(const Tensor& tensor);

// The middle value (the mean of the middle two for an even count). Throws Error for none.
double median(std::vector<double> values);

// Relative L2 errors allowed in float32, whose unit roundoff is 6e-8.
struct Tolerance {
  // Against the golden numbers of tests/fixtures.
  static constexpr double kBlock = 1e-5;                  // a block's output and gradients
  static constexpr double kNetworkOutput = 1e-5;          // a whole network's output
  static constexpr double kNetworkGradient = 5e-5;        // each gradient of a whole network
  static constexpr double kNetworkGradientMedian = 5e-6;  // the median of them
  // Against the numbers that other programs wrote.
  static constexpr double kPeerOutput = 3e-6;     // a whole network's output
  static constexpr double kPeerGradient = 1e-4;   // each gradient of a whole network
  static constexpr double kPeerGradients = 1e-5;  // all gradients of weights together
  // Formulas in double, such as schedules, weights and losses: relative, for each number. Both
  // round to 1e-16, and the products and differences of nearly equal numbers make 5e-12 of it at
  // most.
  static constexpr double kPeerFormula = 1e-10;
  // The same for the slope of the variational bound. It is a difference of nearly equal numbers
  // where the variance is nearly the best one: 5e-11 there.
  static constexpr double kPeerBoundSlope = 1e-9;
  // A gradient below this share of the network's largest is zero in exact arithmetic: it is that of
  // a bias before a norm with one channel per group, which subtracts the bias with the mean.
  // PyTorch wrote its rounding error there, 3e-8 to 4e-7. So ours must only be below this share
  // too.
  static constexpr double kZeroGradient = 1e-6;
  static constexpr double kTrajectoryLoss = 1e-5;    // each loss of the short training
  static constexpr double kTrajectoryParams = 5e-5;  // each parameter at its end

  // One operation on a fast backend against ref. The two round differently.
  static constexpr double kMove = 0;           // copies, permutations: the same bits
  static constexpr double kOperation = 2e-6;   // sums of products, norms, activations
  static constexpr double kWinograd = kBlock;  // its transforms lose one more digit

  // A kernel's float32 sums of a few thousand products against double.
  static constexpr double kProduct = 1e-6;
  // A sum in double against the same sum in another order, relative to its terms.
  static constexpr double kDoubleSum = 1e-13;

  // Weights after 20 steps of an optimizer in float32, and averages, against float64.
  static constexpr double kOptimizer = 1e-5;

  // An operation's gradient against finite differences of its float32 forward pass, whose rounding
  // dominates: with the five-point stencil of worst_gradient_error(), relative to the largest
  // gradient. A wrong formula is off by 1e-2 or more.
  static constexpr double kGradient = 2e-3;
  // A loss's gradient against central differences of the loss, absolute.
  static constexpr double kLossGradient = 1e-4;
};

}  // namespace ddpm::test
