// The layers with parameters: convolution, weight-standardized convolution, linear layer, group
// normalisation. Names and initial values are those of PyTorch.
#pragma once

#include "ddpm/autograd/functions.h"
#include "ddpm/nn/module.h"

namespace ddpm {

struct Conv2dOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t kernel = 3;
  int64_t stride = 1;
  int64_t padding = 0;
  bool bias = true;
};

// weight [kernel, kernel, in, out] (OIHW in files), bias [out].
class Conv2d : public Module {
 public:
  Conv2d(const Conv2dOptions& options, Device device);
  // [N, H, W, in] -> [N, P, Q, out]. The channels of `more`, if given, follow those of x.
  Variable operator()(const Variable& x, const Variable* more = nullptr) const;
  const Variable& weight() const { return weight_.variable; }
  const Variable& bias() const { return bias_.variable; }

 protected:
  Variable convolve(const Variable& x, const ConvExtras& extras) const;
  Conv2dOptions options_;
  Parameter weight_;
  Parameter bias_;
};

// Standardizes each filter before the convolution (Qiao et al. 2019, arXiv:1903.10520). The
// tutorial uses eps 0. A filter with zero variance then becomes zeros.
class WeightStandardizedConv2d : public Conv2d {
 public:
  WeightStandardizedConv2d(const Conv2dOptions& options, double eps, Device device)
      : Conv2d(options, device), eps_(eps) {}
  Variable operator()(const Variable& x, const Variable* more = nullptr) const;

 private:
  double eps_;
};

// weight [in, out] ([out, in] in files), bias [out].
class Linear : public Module {
 public:
  struct Options {
    int64_t in_features = 0;
    int64_t out_features = 0;
  };
  Linear(const Options& options, Device device);
  // [rows, in] -> [rows, out]
  Variable operator()(const Variable& x) const;

 private:
  Parameter weight_;
  Parameter bias_;
};

// Affine, eps 1e-5; weight and bias [channels].
class GroupNorm : public Module {
 public:
  struct Options {
    int64_t groups = 1;
    int64_t channels = 0;
  };
  // Throws UsageError if the groups do not divide the channels, naming group counts that do.
  GroupNorm(const Options& options, Device device);
  // [N, ..., channels] -> the same shape. Adds residual, of x's shape, if given.
  Variable operator()(const Variable& x, const Variable* residual = nullptr) const;
  // Normalisation, FiLM if film [N, 2 channels] is given, SiLU, and residual, as one operation.
  Variable film_silu(const Variable& x, const Variable* film,
                     const Variable* residual = nullptr) const;

 private:
  Options options_;
  Parameter weight_;
  Parameter bias_;
};

}  // namespace ddpm
