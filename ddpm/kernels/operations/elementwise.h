// Operations element by element.
// kernels/operations.h tells the conventions.
#pragma once

#include <string>
#include <vector>

#include "ddpm/kernels/arguments.h"
#include "ddpm/kernels/operations/describe.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm::op {

struct Activate {
  static constexpr const char* kName = "activation";
  Activation kind;
  const Tensor& x;
  Tensor& y;
};

struct ActivateBackward {
  static constexpr const char* kName = "activation backward";
  Activation kind;
  const Tensor& dy;
  const Tensor& x;
  Tensor& dx;
};

// y = a + b. y may be a or b.
struct Add {
  static constexpr const char* kName = "add";
  const Tensor& a;
  const Tensor& b;
  Tensor& y;

  std::string shape() const { return extents(y); }
};

// y[n, ...] = sum over i of coefficients[i][n] * inputs[i][n, ...]: one to three inputs, one
// coefficient for each image of each. y may be one of the inputs.
struct Combine {
  static constexpr const char* kName = "combine";
  const std::vector<const Tensor*>& inputs;
  const std::vector<std::vector<float>>& coefficients;
  Tensor& y;

  std::string shape() const { return extents(y); }
};

// x[n, ..., c] += factor * values[n, c], in place.
struct AddToChannels {
  static constexpr const char* kName = "add_to_channels";
  float factor;
  const Tensor& values;  // [N, C]
  Tensor& x;             // [N, ..., C]
};

// Changes x in place. NaN stays NaN.
struct Clamp {
  static constexpr const char* kName = "clamp";
  float low;
  float high;
  Tensor& x;
};

}  // namespace ddpm::op

#define DDPM_ELEMENTWISE_OPERATIONS(F) \
  F(Activate)                          \
  F(ActivateBackward)                  \
  F(Add)                               \
  F(Combine)                           \
  F(AddToChannels)                     \
  F(Clamp)
