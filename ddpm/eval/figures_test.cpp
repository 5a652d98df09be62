// Against numbers that NumPy computed in other ways (tests/peers), and on sets whose figures are
// known.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "ddpm/base/philox.h"
#include "ddpm/eval/frechet.h"
#include "ddpm/eval/kernel_distance.h"
#include "ddpm/eval/manifold.h"
#include "ddpm/eval/neighbours.h"
#include "ddpm/eval/products.h"
#include "tests/support/compare.h"
#include "tests/support/errors.h"
#include "tests/support/peer_numbers.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

constexpr int64_t kWidth = 7;
// Both sum in double, in other orders, and take roots of differences.
constexpr double kFigure = 1e-9;
// The products of the kernel are float32.
constexpr double kKernel = 1e-5;

Tensor features_of(const std::vector<double>& values) {
  const std::vector<float> floats(values.begin(), values.end());
  return Tensor::of({static_cast<int64_t>(values.size()) / kWidth, kWidth}, floats);
}

// [count, width], standard normal, times scale, plus shift.
Tensor normal_set(uint64_t seed, int64_t count, int64_t width, float scale = 1, float shift = 0) {
  Tensor set({count, width});
  Philox(seed).normal(0, set.elements(), set.f32());
  for (int64_t i = 0; i < set.elements(); ++i) set.f32()[i] = scale * set.f32()[i] + shift;
  return set;
}

class Golden : public ::testing::TestWithParam<const char*> {
 protected:
  const test::PeerNumbers numbers_{"feature_figures"};
  std::string key(const char* name) const { return std::string(GetParam()) + "." + name; }
  const std::vector<double>& at(const char* name) const { return numbers_.at(key(name)); }
  const Tensor real_ = features_of(at("real")), generated_ = features_of(at("generated"));
};

TEST_P(Golden, Frechet) {
  const double got = frechet_distance(feature_statistics(real_), feature_statistics(generated_));
  EXPECT_NEAR(got / at("frechet")[0], 1, kFigure);
}

TEST_P(Golden, Kernel) {
  const KernelDistance got = kernel_distance(real_, generated_);
  if (real_.size(0) == generated_.size(0)) {
    EXPECT_EQ(got.subsets, 1);
    EXPECT_NEAR(got.value / at("kernel")[0], 1, kKernel);
    EXPECT_NEAR(got.standard_error / at("kernel_error")[0], 1, kKernel);
  } else {
    EXPECT_EQ(got.subsets, 100);
    EXPECT_NEAR(got.value, at("kernel")[0], 4 * got.standard_error);
  }
}

TEST_P(Golden, Manifold) {
  const ManifoldFigures got = manifold_figures(real_, generated_, 3);
  const std::vector<double> figures = {got.precision, got.recall, got.density, got.coverage};
  EXPECT_LT(test::worst_relative_error(figures, at("manifold")), 1e-12);
}

INSTANTIATE_TEST_SUITE_P(Sets, Golden, ::testing::Values("plain", "equal", "few"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Frechet, OfKnownCovariances) {
  // Diagonal covariances: the sum of (s1 - s2)^2 and of the squared distance of the means.
  FeatureStatistics a{.count = 9, .mean = {1, 2}, .covariance = {4, 0, 0, 9}};
  FeatureStatistics b{.count = 9, .mean = {1, 0}, .covariance = {1, 0, 0, 25}};
  EXPECT_NEAR(frechet_distance(a, b), 4 + 1 + 4, 1e-12);
  EXPECT_NEAR(frechet_distance(a, a), 0, 1e-12);
  // Singular: all of the second feature is in one value.
  b.covariance = {1, 0, 0, 0};
  EXPECT_EQ(b.constant_features(), 1);
  EXPECT_NEAR(frechet_distance(a, b), 4 + 1 + 9, 1e-12);
}

// S = Q diag(values) Q with the reflection Q = I - 2 u u^T, in long double until the last rounding.
FeatureStatistics reflected(const std::vector<long double>& values) {
  const size_t width = values.size();
  std::vector<long double> u(width);
  long double length = 0;
  for (size_t i = 0; i < width; ++i) {
    u[i] = 1 + static_cast<long double>(i % 5);
    length += u[i] * u[i];
  }
  const auto q = [&](size_t i, size_t j) {
    return (i == j ? 1.0L : 0.0L) - 2 * u[i] * u[j] / length;
  };
  FeatureStatistics result{.count = 1000, .mean = std::vector<double>(width)};
  for (size_t i = 0; i < width; ++i) {
    for (size_t j = 0; j < width; ++j) {
      long double sum = 0;
      for (size_t k = 0; k < width; ++k) sum += q(i, k) * values[k] * q(k, j);
      result.covariance.push_back(static_cast<double>(sum));
    }
  }
  return result;
}

// Where both covariances have the same eigenvectors, the distance is the sum of the squared
// differences of the roots of their eigenvalues.
TEST(Frechet, OfEigenvaluesOverTwelveOrdersOfMagnitude) {
  constexpr size_t kValues = 48;
  std::vector<long double> a, near, reversed;
  for (size_t i = 0; i < kValues; ++i) {
    a.push_back(std::pow(10.0L, -12.0L * static_cast<long double>(i) / (kValues - 1)));
    near.push_back(a[i] * (i % 2 == 0 ? 1.02L : 0.99L));
  }
  reversed.assign(a.rbegin(), a.rend());
  const auto expect = [](const std::vector<long double>& x, const std::vector<long double>& y) {
    long double want = 0;
    for (size_t i = 0; i < x.size(); ++i)
      want += (std::sqrt(x[i]) - std::sqrt(y[i])) * (std::sqrt(x[i]) - std::sqrt(y[i]));
    EXPECT_NEAR(frechet_distance(reflected(x), reflected(y)) / static_cast<double>(want), 1, 1e-9);
  };
  expect(a, near);
  expect(a, reversed);
  // The last ones are exactly zero.
  for (size_t i = kValues - 8; i < kValues; ++i) a[i] = 0;
  expect(a, near);
  expect(near, reversed);
}

using Rows = std::vector<std::vector<long double>>;

long double dot(const std::vector<long double>& a, const std::vector<long double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0L);
}

// The sum of the singular values, by rotations that make the rows orthogonal (Hestenes 1958).
long double sum_of_singular_values(Rows rows) {
  for (int sweep = 0; sweep < 12; ++sweep) {
    for (size_t i = 0; i < rows.size(); ++i) {
      for (size_t j = i + 1; j < rows.size(); ++j) {
        const long double angle =
            std::atan2(2 * dot(rows[i], rows[j]), dot(rows[i], rows[i]) - dot(rows[j], rows[j])) /
            2;
        const long double c = std::cos(angle), s = std::sin(angle);
        for (size_t k = 0; k < rows[i].size(); ++k) {
          const long double x = rows[i][k], y = rows[j][k];
          rows[i][k] = c * x + s * y;
          rows[j][k] = c * y - s * x;
        }
      }
    }
  }
  long double sum = 0;
  for (const auto& row : rows) sum += std::sqrt(dot(row, row));
  return sum;
}

// The vectors of a set minus their mean, divided by the square root of their number minus 1.
Rows centred(const Tensor& set, std::vector<long double>& mean) {
  const auto count = static_cast<size_t>(set.size(0)), width = static_cast<size_t>(set.size(1));
  Rows rows(count, std::vector<long double>(width));
  mean.assign(width, 0);
  for (size_t i = 0; i < count * width; ++i) mean[i % width] += set.f32()[i];
  for (size_t i = 0; i < count * width; ++i) {
    rows[i / width][i % width] =
        (set.f32()[i] - mean[i % width] / static_cast<long double>(count)) /
        std::sqrt(static_cast<long double>(count - 1));
  }
  for (long double& each : mean) each /= static_cast<long double>(count);
  return rows;
}

// With fewer vectors than features: the trace of the root is the sum of the singular values of the
// product of both sets of centred vectors, [N, D] [D, M].
TEST(Frechet, OfFewerVectorsThanFeatures) {
  const Tensor a = normal_set(11, 24, 90), b = normal_set(12, 31, 90, 0.9f, 0.1f);
  std::vector<long double> mean_a, mean_b;
  const Rows x = centred(a, mean_a), y = centred(b, mean_b);
  Rows products(x.size(), std::vector<long double>(y.size()));
  long double want = -2 * sum_of_singular_values([&] {
    for (size_t i = 0; i < x.size(); ++i)
      for (size_t j = 0; j < y.size(); ++j) products[i][j] = dot(x[i], y[j]);
    return products;
  }());
  for (const auto& row : x) want += dot(row, row);
  for (const auto& row : y) want += dot(row, row);
  for (size_t d = 0; d < mean_a.size(); ++d)
    want += (mean_a[d] - mean_b[d]) * (mean_a[d] - mean_b[d]);
  EXPECT_NEAR(
      frechet_distance(feature_statistics(a), feature_statistics(b)) / static_cast<double>(want), 1,
      1e-10);
}

TEST(Frechet, OfFewVectorsToItself) {
  const FeatureStatistics few = feature_statistics(normal_set(3, 20, 60));
  EXPECT_NEAR(frechet_distance(few, few), 0, 1e-6);
}

TEST(Frechet, ManyFeaturesOnAnyThreads) {
  // More than a block of the covariance.
  const Tensor set = normal_set(5, 40, 300, 2, 1);
  const FeatureStatistics all = feature_statistics(set);
  double sum = 0, mean_a = 0, mean_b = 0;
  constexpr int64_t kA = 290, kB = 3;
  for (int64_t n = 0; n < 40; ++n) mean_a += set.f32()[n * 300 + kA] / 40;
  for (int64_t n = 0; n < 40; ++n) mean_b += set.f32()[n * 300 + kB] / 40;
  for (int64_t n = 0; n < 40; ++n)
    sum += (set.f32()[n * 300 + kA] - mean_a) * (set.f32()[n * 300 + kB] - mean_b) / 39;
  EXPECT_NEAR(all.covariance[kA * 300 + kB], sum, 1e-12);
  EXPECT_NEAR(all.covariance[kB * 300 + kA], sum, 1e-12);
  const test::ThreadsScope one(1);
  EXPECT_EQ(feature_statistics(set).covariance, all.covariance);
}

TEST(Frechet, RefusesWhatItCannotCompare) {
  EXPECT_NE(test::message_of([] { feature_statistics(normal_set(1, 1, 4)); }).find("at least 2"),
            std::string::npos);
  const FeatureStatistics a = feature_statistics(normal_set(1, 9, 4));
  const FeatureStatistics b = feature_statistics(normal_set(1, 9, 5));
  EXPECT_NE(test::message_of([&] { frechet_distance(a, b); }).find("same network"),
            std::string::npos);
  Tensor broken = normal_set(1, 9, 4);
  broken.f32()[7] = NAN;
  EXPECT_NE(test::message_of([&] { frechet_distance(a, feature_statistics(broken)); }).find("NaN"),
            std::string::npos);
}

TEST(Kernel, ErrorOfWholeSetsIsTheirSpread) {
  // The mean over many pairs of sets of one distribution is 0, and their spread is the error.
  double sum = 0, squares = 0, errors = 0;
  constexpr int kTrials = 60;
  for (uint64_t trial = 0; trial < kTrials; ++trial) {
    const KernelDistance one =
        kernel_distance(normal_set(2 * trial, 60, 4), normal_set(2 * trial + 1, 60, 4));
    sum += one.value;
    squares += one.value * one.value;
    errors += one.standard_error * one.standard_error;
  }
  const double spread = std::sqrt(squares / kTrials);
  EXPECT_LT(std::abs(sum / kTrials), 3 * spread / std::sqrt(kTrials));
  EXPECT_NEAR(std::sqrt(errors / kTrials) / spread, 1, 0.5);
}

TEST(Kernel, SubsetsDependOnTheSeedAlone) {
  const Tensor a = normal_set(1, 300, 4), b = normal_set(2, 200, 4, 1, 0.5f);
  const KernelDistance two = kernel_distance(a, b);
  const test::ThreadsScope one(1);
  EXPECT_EQ(kernel_distance(a, b).value, two.value);
  EXPECT_NE(kernel_distance(a, b, 1).value, two.value);
  EXPECT_EQ(two.size, 200);
  EXPECT_GT(two.value, 20 * two.standard_error);
}

TEST(Manifold, OfEqualAndOfDistantSets) {
  const Tensor real = normal_set(1, 50, 3), far = normal_set(2, 40, 3, 1, 100);
  const ManifoldFigures same = manifold_figures(real, real);
  EXPECT_EQ(same.precision, 1);
  EXPECT_EQ(same.recall, 1);
  EXPECT_EQ(same.coverage, 1);
  // A ball holds its own centre and k more, of which those on its surface count.
  EXPECT_NEAR(same.density, 1.2, 1e-12);
  const ManifoldFigures apart = manifold_figures(real, far);
  EXPECT_EQ(apart.precision + apart.recall + apart.density + apart.coverage, 0);
}

TEST(Manifold, OneModeOfTwo) {
  Tensor both({200, 2}), one = normal_set(7, 100, 2);
  both.rows(0, 100).copy_from(normal_set(3, 100, 2));
  both.rows(100, 200).copy_from(normal_set(4, 100, 2, 1, 50));
  const ManifoldFigures got = manifold_figures(both, one);
  EXPECT_GT(got.precision, 0.9);
  EXPECT_LT(got.recall, 0.51);
  EXPECT_LT(got.coverage, 0.51);
}

TEST(Neighbours, AreThoseOfAllDistances) {
  // More than one block of each, far from the origin, and some equal vectors.
  const int64_t width = 3;
  Tensor base = normal_set(1, 1500, width, 1, 1000), queries = normal_set(2, 30, width, 1, 1000);
  queries.rows(5, 6).copy_from(base.rows(1400, 1401));
  base.rows(20, 21).copy_from(base.rows(1400, 1401));
  const Neighbours got = nearest(queries, base, 4);
  for (int64_t q = 0; q < 30; ++q) {
    std::vector<std::pair<double, int64_t>> all;
    for (int64_t i = 0; i < 1500; ++i)
      all.emplace_back(std::sqrt(squared_distance(queries, q, base, i)), i);
    std::sort(all.begin(), all.end());
    for (int64_t p = 0; p < 4; ++p) {
      EXPECT_EQ(got.index(q, p), all[static_cast<size_t>(p)].second);
      EXPECT_EQ(got.distance(q, p), all[static_cast<size_t>(p)].first);
    }
  }
  EXPECT_EQ(got.index(5, 0), 20);
  EXPECT_EQ(got.index(5, 1), 1400);
  const Neighbours others = nearest_others(base, 1);
  EXPECT_EQ(others.index(20, 0), 1400);
  EXPECT_EQ(others.distance(20, 0), 0);
  EXPECT_NE(test::message_of([&] { nearest_others(base.rows(0, 3), 3); }).find("choose 1 to 2"),
            std::string::npos);
}

}  // namespace
}  // namespace ddpm
