// Row-major matrices on bare pointers, rows `stride` floats apart: a matrix of its own, or some
// rows and columns of a larger one.
#pragma once

#include <cstdint>

namespace ddpm::cpu {

struct ConstRows {
  const float* data = nullptr;
  int64_t stride = 0;

  const float* row(int64_t r) const { return data + r * stride; }
  // The matrix from a row, or from a column, on.
  ConstRows from_row(int64_t r) const { return {row(r), stride}; }
  ConstRows from_column(int64_t c) const { return {data + c, stride}; }
};

struct Rows {
  float* data = nullptr;
  int64_t stride = 0;

  operator ConstRows() const { return {data, stride}; }
  float* row(int64_t r) const { return data + r * stride; }
  Rows from_row(int64_t r) const { return {row(r), stride}; }
  Rows from_column(int64_t c) const { return {data + c, stride}; }
};

}  // namespace ddpm::cpu
