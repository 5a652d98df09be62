#include "ddpm/kernels/cpu/gemm/matmul.h"

#include <gtest/gtest.h>

#include "ddpm/kernels/cpu/simd/simd_test_support.h"
#include "tests/support/compare.h"

namespace ddpm::cpu {
namespace {

using ddpm::testing::normal_tensor;
using ddpm::testing::relative_error;

enum class Form { kNn, kNt, kTn };

// c by its definition, in double. Matrices are [rows, stride] tensors.
void plain_product(Form form, const Matmul& p, float* c) {
  for (int64_t i = 0; i < p.m; ++i) {
    for (int64_t j = 0; j < p.n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < p.k; ++l) {
        const double a = form == Form::kTn ? p.a.row(l)[i] : p.a.row(i)[l];
        const double b = form == Form::kNt ? p.b.row(j)[l] : p.b.row(l)[j];
        sum += a * b;
      }
      const int64_t at = i * p.c.stride + j;
      const double base = (p.accumulate ? c[at] : 0.0) + (p.bias ? p.bias[j] : 0.0);
      c[at] = static_cast<float>(base + p.alpha * sum);
    }
  }
}

void run(Form form, const Matmul& p) {
  switch (form) {
    case Form::kNn:
      return matmul_nn(p);
    case Form::kNt:
      return matmul_nt(p);
    case Form::kTn:
      return matmul_tn(p);
  }
}

// Strides larger than the rows; what lies between rows must stay as it was.
void check(Form form, int64_t m, int64_t n, int64_t k, float alpha, bool accumulate,
           bool with_bias = false) {
  const auto matrix = [](int64_t rows, int64_t columns, uint64_t seed) {
    return normal_tensor({rows + 1, columns + 3}, seed);
  };
  const Tensor a = form == Form::kTn ? matrix(k, m, 1) : matrix(m, k, 1);
  const Tensor b = form == Form::kNt ? matrix(n, k, 2) : matrix(k, n, 2);
  Tensor got = matrix(m, n, 3);
  Tensor expected = got.clone();
  const Tensor bias = normal_tensor({n + 1}, 4);
  Matmul p{.m = m,
           .n = n,
           .k = k,
           .a = {a.f32() + 1, a.size(1)},  // misaligned
           .b = {b.f32() + 1, b.size(1)},
           .c = {got.f32() + 1, got.size(1)},
           .alpha = alpha,
           .accumulate = accumulate,
           .bias = with_bias ? bias.f32() + 1 : nullptr};
  plain_product(form, p, expected.f32() + 1);
  run(form, p);
  EXPECT_LE(relative_error(got, expected), ddpm::test::Tolerance::kProduct)
      << "m " << m << ", n " << n << ", k " << k;
  for (int64_t i = 0; i < got.size(0); ++i) {
    for (int64_t j = 0; j < got.size(1); ++j) {
      if (i < m && j >= 1 && j < n + 1) continue;
      const int64_t at = i * got.size(1) + j;
      ASSERT_EQ(got.f32()[at], expected.f32()[at]) << "written outside, row " << i << ", " << j;
    }
  }
}

class MatmulTest : public ddpm::testing::EverySimd {};

TEST_P(MatmulTest, AgreesForEveryLengthAroundAVector) {
  for (Form form : {Form::kNn, Form::kNt, Form::kTn}) {
    for (int64_t length = 0; length <= 33; ++length) {
      check(form, length, 17, 5, 1, false);
      check(form, 7, length, 9, 1, false);
      check(form, 5, 18, length, 1, false);
    }
  }
}

TEST_P(MatmulTest, AgreesForManyRows) {
  for (Form form : {Form::kNn, Form::kNt, Form::kTn}) check(form, 401, 18, 20, 1, false);
}

TEST_P(MatmulTest, AgreesForLongReductions) {
  for (Form form : {Form::kNn, Form::kNt, Form::kTn}) {
    for (int64_t k : {191, 192, 193, 256, 257, 700}) check(form, 13, 37, k, 0.5f, false);
  }
}

TEST_P(MatmulTest, ScalesAndAccumulates) {
  for (Form form : {Form::kNn, Form::kNt, Form::kTn}) {
    check(form, 6, 16, 300, -2, true);
    check(form, 3, 5, 0, 1, true);
    check(form, 3, 5, 0, 1, false);
  }
}

TEST_P(MatmulTest, AddsABiasOnce) {
  for (Form form : {Form::kNn, Form::kNt, Form::kTn}) {
    for (int64_t k : {0, 5, 700}) {
      check(form, 9, 37, k, 2, false, true);
      check(form, 9, 37, k, 2, true, true);
    }
  }
}

DDPM_FOR_EVERY_SIMD(MatmulTest);

}  // namespace
}  // namespace ddpm::cpu
