// Linear layers, and tables of rows that are looked up.
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

// y[n] = w[rows[n]]; a row of -1 is the last one.
struct Lookup {
  static constexpr const char* kName = "lookup";
  const Tensor& rows;  // [N], whole numbers
  const Tensor& w;     // [rows, columns]
  Tensor& y;           // [N, columns]

  std::string shape() const { return product(w, rows); }
};

// dw[r] is the sum of all dy[n] with rows[n] = r, in the order of n, and 0 where there are none.
struct LookupBackward {
  static constexpr const char* kName = "lookup backward";
  const Tensor& rows;
  const Tensor& dy;
  Tensor& dw;

  std::string shape() const { return product(dw, rows); }
};

}  // namespace ddpm::op

#define DDPM_LINEAR_OPERATIONS(F) \
  F(Linear)                       \
  F(LinearBackwardData)           \
  F(LinearBackwardWeights)        \
  F(Lookup)                       \
  F(LookupBackward)
