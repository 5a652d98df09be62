// Small matrix products on one thread, for attention. They may be called inside a parallel region.
// Matrices are row-major, of any size (also 0). Each has a row stride, so that the columns of a
// head can be read in place. Nothing is allocated. The bits of an output do not depend on m or n.
#pragma once

#include <cstdint>

#include "ddpm/kernels/cpu/work/rows.h"

namespace ddpm::cpu {

struct Matmul {
  int64_t m = 0;  // rows of c
  int64_t n = 0;  // columns of c
  int64_t k = 0;  // the reduction
  ConstRows a, b;
  Rows c;
  float alpha = 1;
  bool accumulate = false;      // c += instead of c =
  const float* bias = nullptr;  // [n], added to every row of c, or null
};

void matmul_nn(const Matmul& p);  // c = alpha a b      a [m, k], b [k, n]
void matmul_nt(const Matmul& p);  // c = alpha a b^T    a [m, k], b [n, k]
void matmul_tn(const Matmul& p);  // c = alpha a^T b    a [k, m], b [k, n]

}  // namespace ddpm::cpu
