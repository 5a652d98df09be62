// Time steps, noise, losses and the optimizer.
// kernels/operations.h tells the conventions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/kernels/arguments.h"
#include "ddpm/kernels/operations/describe.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// Adam (Kingma & Ba 2014, arXiv:1412.6980) as PyTorch computes it, for step t = 1, 2, ...
struct AdamArgs {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  int64_t step = 1;
  // Every gradient is multiplied by this first; clipping sets it.
  double grad_scale = 1;
  // ema = decay * ema + (1 - decay) * weight, after the update. Ignored where ema is empty.
  double ema_decay = 0;
};

// One parameter with all that an optimizer step reads and updates. All tensors have one shape.
struct AdamParameter {
  Tensor weight;   // updated
  Tensor grad;     // read
  Tensor moment1;  // updated
  Tensor moment2;  // updated
  Tensor ema;      // updated; may be empty
  // The weight is multiplied by this before the update: 1 - rate * decay for a decay that is
  // decoupled from the gradient (Loshchilov & Hutter 2017, arXiv:1711.05101), 1 for none.
  double keep = 1;
};

// A tensor, and an average over its past values. Both have one shape.
struct AveragedTensor {
  Tensor value;    // read
  Tensor average;  // updated
};

}  // namespace ddpm

namespace ddpm::op {

// Sinusoidal embedding (Vaswani et al. 2017, 3.5): sines and cosines of t[n] times dim / 2
// frequencies, ordered as args say; dim is even.
struct SinusoidalEmbedding {
  static constexpr const char* kName = "sinusoidal_embedding";
  SinusoidArgs args = {};
  const Tensor& t;  // [N]
  Tensor& y;        // [N, dim]

  std::string shape() const { return extents(y); }
};

// Fourier features of frequencies that are learnt or random (Tancik et al. 2020, arXiv:2006.10739):
// t, then the sines of 2 pi t w, then their cosines.
struct FourierEmbedding {
  static constexpr const char* kName = "fourier_embedding";
  const Tensor& t;  // [N]
  const Tensor& w;  // [K]
  Tensor& y;        // [N, 2K + 1]

  std::string shape() const { return extents(y); }
};

struct FourierEmbeddingBackward {
  static constexpr const char* kName = "fourier_embedding backward";
  const Tensor& dy;
  const Tensor& t;
  const Tensor& w;
  Tensor& dw;

  std::string shape() const { return extents(dy); }
};

// Dropout (Srivastava et al. 2014): element i of row n of x, in the order of storage, becomes 0
// with the probability `rate`, where Philox(seeds[n], stream).uniform(i) is below it, and is
// divided by 1 - rate otherwise. The gradient is the same operation on dy. y may be x.
struct Dropout {
  static constexpr const char* kName = "dropout";
  double rate = 0;
  const std::vector<uint64_t>& seeds;
  uint64_t stream = 0;
  const Tensor& x;  // [N, ...]
  Tensor& y;        // [N, ...]
};

// Row n of x becomes standard normal numbers: Philox(seeds[n], stream) at positions 0, 1, ... in
// the order of storage.
struct Normal {
  static constexpr const char* kName = "normal";
  const std::vector<uint64_t>& seeds;
  uint64_t stream = 0;
  Tensor& x;  // [N, ...]
};

// The mean over all elements of weights[n] * loss(prediction - target), summed in double in an
// order that no thread count changes.
struct Loss {
  static constexpr const char* kName = "loss";
  LossKind kind;
  const Tensor& prediction;         // [N, ...]
  const Tensor& target;             // [N, ...]
  const Tensor* weights = nullptr;  // [N]; null: all are 1
  // On the host, complete when run() returns.
  double& mean;

  std::string shape() const { return extents(prediction); }
};

// dprediction = upstream * d(mean loss) / d(prediction).
struct LossBackward {
  static constexpr const char* kName = "loss backward";
  LossKind kind;
  const Tensor& prediction;         // [N, ...]
  const Tensor& target;             // [N, ...]
  const Tensor* weights = nullptr;  // [N]; null: all are 1
  float upstream = 1;
  Tensor& dprediction;  // [N, ...]

  std::string shape() const { return extents(prediction); }
};

// The loss of a network that also predicts its variance (Nichol & Dhariwal 2021,
// arXiv:2102.09672): the mean over all elements of weights[n] * loss(output - target) for the first
// C channels of the output, plus bound_weight times the variational bound in bits, whose variance
// comes from the other C channels. Summed in double in an order that no thread count changes.
struct HybridLoss {
  static constexpr const char* kName = "hybrid_loss";
  LossKind kind;
  const Tensor& output;                   // [N, H, W, 2 C]
  const Tensor& target;                   // [N, H, W, C]
  const Tensor& x0;                       // [N, H, W, C], the images
  const Tensor* bound_target = nullptr;   // [N, H, W, C], of the bound; null: `target`
  const Tensor* weights = nullptr;        // [N]; null: all are 1
  const std::vector<BoundLevel>& levels;  // one per image
  double bound_weight;
  // On the host, complete when run() returns.
  double& mean;

  std::string shape() const { return extents(output); }
};

// doutput = upstream * d(mean) / d(output). The bound counts as a function of the variance alone.
struct HybridLossBackward {
  static constexpr const char* kName = "hybrid_loss backward";
  LossKind kind;
  const Tensor& output;
  const Tensor& target;
  const Tensor& x0;
  const Tensor* bound_target = nullptr;
  const Tensor* weights = nullptr;
  const std::vector<BoundLevel>& levels;
  double bound_weight;
  float upstream = 1;
  Tensor& doutput;  // [N, H, W, 2 C]

  std::string shape() const { return extents(output); }
};

// x *= sigma, log sigma^2 = (1 + v) / 2 log_high + (1 - v) / 2 log_low: noise of the variance that
// a network predicts. In place. Each element of x has its own v.
struct ScaleByDeviation {
  static constexpr const char* kName = "scale_by_deviation";
  double log_low;
  double log_high;
  const Tensor& v;  // [N, H, W, C]
  Tensor& x;        // [N, H, W, C]
};

// The sum of the squares of the elements of each tensor, in double. That of a tensor does not
// depend on the others.
struct SumOfSquares {
  static constexpr const char* kName = "sum_of_squares";
  const std::vector<Tensor>& tensors;
  // One for each tensor. On the host, complete when run() returns.
  std::vector<double>& sums;

  std::string shape() const { return std::to_string(tensors.size()) + " tensors"; }
};

// One step of the optimizer on all parameters.
struct Adam {
  static constexpr const char* kName = "adam";
  AdamArgs args = {};
  std::vector<AdamParameter>& parameters;

  std::string shape() const { return std::to_string(parameters.size()) + " tensors"; }
};

// average = decay * average + (1 - decay) * value for all of them: the same bits as Adam's ema.
struct MoveAverages {
  static constexpr const char* kName = "move_averages";
  double decay = 0;
  std::vector<AveragedTensor>& tensors;

  std::string shape() const { return std::to_string(tensors.size()) + " tensors"; }
};

}  // namespace ddpm::op

#define DDPM_TRAINING_OPERATIONS(F) \
  F(SinusoidalEmbedding)            \
  F(FourierEmbedding)               \
  F(FourierEmbeddingBackward)       \
  F(Dropout)                        \
  F(Normal)                         \
  F(Loss)                           \
  F(LossBackward)                   \
  F(HybridLoss)                     \
  F(HybridLossBackward)             \
  F(ScaleByDeviation)               \
  F(SumOfSquares)                   \
  F(Adam)                           \
  F(MoveAverages)
