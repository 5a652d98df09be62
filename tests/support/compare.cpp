#include "tests/support/compare.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ddpm/base/error.h"

namespace ddpm::test {

double relative_l2(const Tensor& got, const Tensor& want) {
  if (got.shape() != want.shape()) {
    fail("relative_l2",
         fmt::format("got {} where {} was wanted", got.shape().str(), want.shape().str()));
  }
  const float* a = got.f32();
  const float* b = want.f32();
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < want.elements(); ++i) {
    const double d = double{a[i]} - double{b[i]};
    difference += d * d;
    norm += double{b[i]} * double{b[i]};
  }
  if (difference == 0) return 0;
  if (norm == 0)
    return std::isnan(difference) ? difference : std::numeric_limits<double>::infinity();
  return std::sqrt(difference / norm);
}

double l2_norm(const Tensor& tensor) {
  double sum = 0;
  for (float value : tensor.values()) sum += double{value} * double{value};
  return std::sqrt(sum);
}

double median(std::vector<double> values) {
  if (values.empty()) fail("median", "no values");
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace ddpm::test
