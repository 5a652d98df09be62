// How tests compare numbers, and the one table of how far apart they may be. A test takes its bound
// from here and never widens it.
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
  // A gradient below this share of the network's largest is zero in exact arithmetic (a bias before
  // a norm of one channel per group, whose mean takes it away again): what PyTorch wrote there is
  // its own rounding, 3e-8 to 4e-7, so ours must only be as small.
  static constexpr double kZeroGradient = 1e-6;
  static constexpr double kTrajectoryLoss = 1e-5;    // each loss of the short training
  static constexpr double kTrajectoryParams = 5e-5;  // each parameter at its end

  // One operation on a fast backend against ref, either rounding its own way.
  static constexpr double kMove = 0;           // copies, permutations: every bit
  static constexpr double kOperation = 2e-6;   // sums of products, norms, activations
  static constexpr double kWinograd = kBlock;  // transforms lose a further digit

  // A kernel's float32 sums of a few thousand products against double.
  static constexpr double kProduct = 1e-6;
  // A sum in double against the same in another order, relative to what is summed.
  static constexpr double kDoubleSum = 1e-13;

  // An operation's gradient against finite differences of its float32 forward pass, whose rounding
  // dominates: with the five-point stencil of worst_gradient_error(), relative to the largest
  // gradient. A wrong formula is off by 1e-2 or more.
  static constexpr double kGradient = 2e-3;
  // A loss's gradient against central differences of the loss, absolute.
  static constexpr double kLossGradient = 1e-4;
};

}  // namespace ddpm::test
