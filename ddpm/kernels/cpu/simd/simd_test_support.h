// For tests of kernels: every instruction set that this CPU has, and thread counts.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/simd/simd.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm::testing {

// A test that runs once per instruction set, with that set in force and on one thread, so that a
// busy machine does not slow it down.
class EverySimd : public ::testing::TestWithParam<Simd> {
 protected:
  EverySimd() : before_(simd()), threads_(num_threads()) {
    set_simd(GetParam());
    set_num_threads(1);
  }
  ~EverySimd() override {
    set_simd(before_);
    set_num_threads(threads_);
  }

 private:
  Simd before_;
  int threads_;
};

#define DDPM_FOR_EVERY_SIMD(Suite)                                \
  INSTANTIATE_TEST_SUITE_P(                                       \
      Simd, Suite, ::testing::ValuesIn(::ddpm::supported_simd()), \
      [](const auto& info) { return std::string(::ddpm::simd_name(info.param)); })

inline Tensor normal_tensor(Shape shape, uint64_t seed) {
  Tensor tensor(shape);
  Philox(seed).normal(0, tensor.elements(), tensor.f32());
  return tensor;
}

// An output tensor whose elements are NaN until written.
inline Tensor unwritten(Shape shape) { return Tensor::full(shape, NAN); }

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.f32(), b.f32(), static_cast<size_t>(a.bytes())) == 0;
}

// |a - b| / |b| in the Euclidean norm; |a| where b is zero.
inline double relative_error(const Tensor& a, const Tensor& b) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < b.elements(); ++i) {
    const double x = a.f32()[i], y = b.f32()[i];
    difference += (x - y) * (x - y);
    norm += y * y;
  }
  return std::sqrt(norm > 0 ? difference / norm : difference);
}

}  // namespace ddpm::testing
