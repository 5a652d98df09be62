// Convolutions, and the standardization of their weights.
// kernels/operations.h tells the conventions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ddpm/kernels/arguments.h"
#include "ddpm/kernels/operations/describe.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The input of a convolution: the channels of x, then those of `more` where it is given, as if the
// two had been concatenated. Refers to tensors that must outlive it.
struct ConvInput {
  ConvInput(const Tensor& first, const Tensor* second = nullptr) : x(first), more(second) {}
  int64_t channels() const { return x.size(3) + (more ? more->size(3) : 0); }

  const Tensor& x;     // [N, H, W, C1]
  const Tensor* more;  // [N, H, W, C2] or null
};

// The weights of a convolution, as they are or, where mean and rstd are given, standardized:
// (w - mean[k]) rstd[k]. Refers to tensors that must outlive it.
struct ConvWeights {
  ConvWeights(const Tensor& weights, const Tensor* filter_mean = nullptr,
              const Tensor* filter_rstd = nullptr)
      : w(weights), mean(filter_mean), rstd(filter_rstd) {}

  const Tensor& w;     // [kh, kw, C1 + C2, K]
  const Tensor* mean;  // [K] or null
  const Tensor* rstd;  // [K] or null
  // Where not null, the backend may store here what it made of these weights (packed or transformed
  // copies) and use it in the next call, which must bring the same weights.
  std::shared_ptr<void>* prepared = nullptr;
};

}  // namespace ddpm

namespace ddpm::op {

// y[n, p, q, k] = bias[k] + sum over i, j, c of
//   x[n, p * stride + i - padding, q * stride + j - padding, c] w[i, j, c, k], x being 0 outside.
//
// In training the backend may choose its algorithm by the number of images. Otherwise the bits of
// an image must not depend on how many others there are, as samples are made in batches of any
// size.
struct Conv2d {
  static constexpr const char* kName = "conv2d";
  ConvArgs args = {};
  ConvInput x;                   // [N, H, W, C1 + C2]
  ConvWeights w;                 // [kh, kw, C1 + C2, K]
  const Tensor* bias = nullptr;  // [K]
  Tensor& y;                     // [N, P, Q, K]
  bool training = false;

  double flops() const { return convolution_flops(w.w, y); }
  std::string shape() const { return convolution(w.w, x.x); }
};

struct Conv2dBackwardData {
  static constexpr const char* kName = "conv2d backward data";
  ConvArgs args = {};
  const Tensor& dy;  // [N, P, Q, K]
  ConvWeights w;
  Tensor& dx;               // [N, H, W, C1]
  Tensor* dmore = nullptr;  // [N, H, W, C2]; null exactly where the input had no `more`
  bool training = false;    // as for Conv2d

  double flops() const { return convolution_flops(w.w, dy); }
  std::string shape() const { return convolution(w.w, dx); }
};

// dw is the gradient of the weights as used, standardized or not.
struct Conv2dBackwardWeights {
  static constexpr const char* kName = "conv2d backward weights";
  ConvArgs args = {};
  ConvInput x;
  const Tensor& dy;
  Tensor& dw;               // [kh, kw, C1 + C2, K]
  Tensor* dbias = nullptr;  // [K]

  double flops() const { return convolution_flops(dw, dy); }
  std::string shape() const { return convolution(dw, x.x); }
};

// Mean and 1 / sqrt(variance + eps) of each output channel k over [kh, kw, C]. rstd is 0 where
// variance + eps is zero. Convolutions apply them (see ConvWeights).
struct WeightMoments {
  static constexpr const char* kName = "weight_moments";
  double eps = 0;
  const Tensor& w;  // [kh, kw, C, K]
  Tensor& mean;     // [K]
  Tensor& rstd;     // [K]

  std::string shape() const { return extents(w); }
};

// dw from the gradient of the standardized weights. dw may be dstandardized.
struct WeightStandardizeBackward {
  static constexpr const char* kName = "weight_standardize backward";
  const Tensor& dstandardized;  // [kh, kw, C, K]
  const Tensor& w;              // [kh, kw, C, K]
  const Tensor& mean;           // [K]
  const Tensor& rstd;           // [K]
  Tensor& dw;                   // [kh, kw, C, K]

  std::string shape() const { return extents(w); }
};

}  // namespace ddpm::op

#define DDPM_CONV_OPERATIONS(F) \
  F(Conv2d)                     \
  F(Conv2dBackwardData)         \
  F(Conv2dBackwardWeights)      \
  F(WeightMoments)              \
  F(WeightStandardizeBackward)
