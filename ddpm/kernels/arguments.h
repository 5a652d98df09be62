// What operations take besides tensors, where a network or a program chooses it.
#pragma once

#include <cstdint>

namespace ddpm {

struct ConvArgs {
  int64_t stride = 1;
  int64_t padding = 0;
};

struct NormArgs {
  int64_t groups = 1;
  double eps = 1e-5;
  // Apply SiLU at the end.
  bool silu = false;
};

struct RmsNormArgs {
  // Apply SiLU at the end.
  bool silu = false;
};

struct AttentionArgs {
  // qkv [N, H, W, 3 * heads * d] holds q, then k, then v; each head has d consecutive channels.
  int64_t heads = 4;
};

// How sines and cosines follow each other in a time embedding: in turn, or all sines first.
enum class SinusoidOrder { kInTurn, kSinesFirst };

struct SinusoidArgs {
  // The k-th of `half` frequencies is theta^(-k / (half - shift)).
  double theta = 10000;
  int64_t shift = 0;
  SinusoidOrder order = SinusoidOrder::kInTurn;
};

// SiLU: x * sigmoid(x). GELU: x * Phi(x) with the exact erf.
enum class Activation { kSilu, kGelu };

// The loss of one element with difference a - b: its square, its absolute value, or the Huber
// function with delta = 1.
enum class LossKind { kMse, kL1, kHuber };

// What the variational bound needs to know about the noise level of an image, for a network that
// predicts its variance. See kernels/variational_bound.h.
struct BoundLevel {
  // The distance between the means of the posterior and of the network's step, divided by the
  // distance between target and output.
  double scale = 0;
  // The logarithms of the variances between which the network chooses: that of the posterior, and
  // that of the noise that the step added.
  double log_low = 0;
  double log_high = 0;
  // True for the step to the image itself. Its bound is the likelihood of 8-bit values.
  bool to_image = false;
};

}  // namespace ddpm
