#include "ddpm/optim/post_hoc.h"

#include <fmt/core.h>

#include <Eigen/Core>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"

namespace ddpm {
namespace {

constexpr int64_t kGrain = 16384;

// The integral of the product of two profiles, from 0 to the earlier of their times.
double overlap(const PowerProfile& a, const PowerProfile& b) {
  const PowerProfile& early = a.time < b.time ? a : b;
  const PowerProfile& late = a.time < b.time ? b : a;
  return (a.gamma + 1) * (b.gamma + 1) / (a.gamma + b.gamma + 1) / late.time *
         std::pow(early.time / late.time, late.gamma);
}

void check_time(double time) {
  if (std::isfinite(time) && time > 0) return;
  fail_usage("average", fmt::format("an average at the time {}; times must be above 0", time));
}

}  // namespace

double power_width(double gamma) { return std::sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2); }

double power_gamma(double width) {
  // Narrower averages follow the weights of a few steps, and their gamma overflows.
  constexpr double kNarrowest = 1e-4;
  if (!(width >= kNarrowest && width <= power_width(0))) {
    fail_usage("average", fmt::format("the width is {} but must be from {} to {:.4f}; 0.05 to 0.15 "
                                      "is usual",
                                      width, kNarrowest, power_width(0)));
  }
  // The width falls with gamma, and is below 1 / (gamma + 2).
  double low = 0, high = 1 / width;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = (low + high) / 2;
    if (middle == low || middle == high) break;
    (power_width(middle) > width ? low : high) = middle;
  }
  return high;
}

std::vector<double> post_hoc_coefficients(const std::vector<PowerProfile>& stored,
                                          const PowerProfile& wanted) {
  if (stored.empty()) fail_usage("average", "there are no stored averages to combine");
  check_time(wanted.time);
  for (const PowerProfile& profile : stored) check_time(profile.time);
  const auto count = static_cast<Eigen::Index>(stored.size());
  Eigen::MatrixXd products(count, count);
  Eigen::VectorXd right(count);
  for (Eigen::Index i = 0; i < count; ++i) {
    const PowerProfile& of = stored[static_cast<size_t>(i)];
    right[i] = overlap(of, wanted);
    for (Eigen::Index j = 0; j < count; ++j)
      products(i, j) = overlap(of, stored[static_cast<size_t>(j)]);
  }
  // Profiles of unit length make the matrix well scaled. A decomposition that finds the rank also
  // takes profiles that are stored twice.
  const Eigen::VectorXd scale = products.diagonal().cwiseSqrt().cwiseInverse();
  const Eigen::MatrixXd scaled = scale.asDiagonal() * products * scale.asDiagonal();
  const Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd> solver(scaled);
  const Eigen::VectorXd solution = solver.solve(scale.cwiseProduct(right)).cwiseProduct(scale);
  return {solution.data(), solution.data() + count};
}

double post_hoc_error(const std::vector<PowerProfile>& stored,
                      const std::vector<double>& coefficients, const PowerProfile& wanted) {
  DDPM_CHECK(stored.size() == coefficients.size());
  check_time(wanted.time);
  for (const PowerProfile& profile : stored) check_time(profile.time);
  const double whole = overlap(wanted, wanted);
  double square = whole;
  for (size_t i = 0; i < stored.size(); ++i) {
    square -= 2 * coefficients[i] * overlap(stored[i], wanted);
    for (size_t j = 0; j < stored.size(); ++j)
      square += coefficients[i] * coefficients[j] * overlap(stored[i], stored[j]);
  }
  // Rounding may take it below 0.
  return std::sqrt(std::max(square, 0.0) / whole);
}

void add_scaled(double coefficient, const Tensor& x, std::vector<double>& total) {
  DDPM_CHECK(static_cast<int64_t>(total.size()) == x.elements());
  const float* from = x.f32();
  parallel_for(x.elements(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) total[static_cast<size_t>(i)] += coefficient * from[i];
  });
}

}  // namespace ddpm
