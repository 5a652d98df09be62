// The eigenbasis of one axis of a parameter, for soap.h.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The axes of an array [kh, kw, C_in, C_out].
enum class SoapAxis { kHeight, kWidth, kInputs, kOutputs };
inline constexpr SoapAxis kSoapAxes[] = {SoapAxis::kHeight, SoapAxis::kWidth, SoapAxis::kInputs,
                                         SoapAxis::kOutputs};
const char* name_of(SoapAxis axis);

struct SoapBasis {
  SoapAxis axis;
  Tensor gram;   // [n, n]
  Tensor basis;  // [n, n], the columns are the vectors
};

// How the vectors of a basis changed.
struct BasisChange {
  Tensor basis;  // [n, n], the new one
  // Column i of the new basis comes from column order[i] of the old one.
  std::vector<int64_t> order;
};

// The coordinates of x [kh, kw, C_in, C_out] in a basis of one axis: y[.., j, ..] = sum over i of
// basis[i, j] x[.., i, ..].
Tensor rotated(const Tensor& x, SoapAxis axis, const Tensor& basis);
// The opposite.
Tensor rotated_back(const Tensor& x, SoapAxis axis, const Tensor& basis);
// y[i, j] = the sum of x[.., i, ..] x[.., j, ..] over the other axes: [n, n].
Tensor gram_of(const Tensor& x, SoapAxis axis);
// Entry i of the axis becomes the earlier entry order[i], in place.
void permute(Tensor& x, SoapAxis axis, const std::vector<int64_t>& order);

// The eigenvectors of a symmetric matrix, that of the largest eigenvalue first. In double.
Tensor eigenbasis(const Tensor& gram);
// One step of power iteration from an earlier basis, and a QR decomposition. In double.
BasisChange next_basis(const SoapBasis& before);

}  // namespace ddpm
