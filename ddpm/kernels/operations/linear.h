// Linear layers.
// kernels/operations.h tells the conventions.
#pragma once

#include <string>

#include "ddpm/kernels/operations/describe.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm::op {

// y = x w + bias
struct Linear {
  static constexpr const char* kName = "linear";
  const Tensor& x;               // [rows, in]
  const Tensor& w;               // [in, out]
  const Tensor* bias = nullptr;  // [out]
  Tensor& y;                     // [rows, out]

  double flops() const { return product_flops(x.size(0), w); }
  std::string shape() const { return product(w, x); }
};

struct LinearBackwardData {
  static constexpr const char* kName = "linear backward data";
  const Tensor& dy;
  const Tensor& w;
  Tensor& dx;

  double flops() const { return product_flops(dy.size(0), w); }
  std::string shape() const { return product(w, dx); }
};

struct LinearBackwardWeights {
  static constexpr const char* kName = "linear backward weights";
  const Tensor& x;
  const Tensor& dy;
  Tensor& dw;
  Tensor* dbias = nullptr;

  double flops() const { return product_flops(x.size(0), dw); }
  std::string shape() const { return product(dw, x); }
};

}  // namespace ddpm::op

#define DDPM_LINEAR_OPERATIONS(F) \
  F(Linear)                       \
  F(LinearBackwardData)           \
  F(LinearBackwardWeights)
