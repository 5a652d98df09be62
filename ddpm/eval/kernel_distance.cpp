#include "ddpm/eval/kernel_distance.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "ddpm/base/philox.h"
#include "ddpm/eval/products.h"
#include "ddpm/eval/subset.h"

namespace ddpm {
namespace {

constexpr int64_t kSubsets = 100, kSubsetSize = 1000;

// The sum over all y of k(x, y), for each x in a and y in b. Without pairs (i, i) if `others`.
std::vector<double> kernel_sums(const Tensor& a, const Tensor& b, bool others) {
  const double width = static_cast<double>(a.size(1));
  std::vector<double> sums(static_cast<size_t>(a.size(0)));
  visit_products(a, b, [&](int64_t row, int64_t first, std::span<const float> products) {
    double sum = 0;
    const int64_t left_out = others ? row - first : -1;
    for (size_t j = 0; j < products.size(); ++j) {
      if (static_cast<int64_t>(j) == left_out) continue;
      const double base = double{products[j]} / width + 1;
      sum += base * base * base;
    }
    sums[static_cast<size_t>(row)] += sum;
  });
  return sums;
}

double total(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double pairs(double n) { return n * (n - 1); }

// The unbiased estimate from the sums over the pairs within each set and between them.
double discrepancy(double xx, double yy, double xy, double n, double m) {
  return xx / pairs(n) + yy / pairs(m) - 2 * xy / (n * m);
}

double discrepancy(const Tensor& a, const Tensor& b) {
  return discrepancy(total(kernel_sums(a, a, true)), total(kernel_sums(b, b, true)),
                     total(kernel_sums(a, b, false)), static_cast<double>(a.size(0)),
                     static_cast<double>(b.size(0)));
}

// The contribution to the jackknife's variance of leaving out each vector of one set.
template <class Without>
double jackknife_variance(size_t count, const Without& without) {
  std::vector<double> values;
  for (size_t i = 0; i < count; ++i) values.push_back(without(i));
  const double n = static_cast<double>(count), mean = total(values) / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return squares * (n - 1) / n;
}

KernelDistance of_whole_sets(const Tensor& a, const Tensor& b) {
  const std::vector<double> xx = kernel_sums(a, a, true), yy = kernel_sums(b, b, true);
  const std::vector<double> xy = kernel_sums(a, b, false), yx = kernel_sums(b, a, false);
  const double n = static_cast<double>(a.size(0)), m = static_cast<double>(b.size(0));
  const double all_xx = total(xx), all_yy = total(yy), all_xy = total(xy);
  KernelDistance result{
      .value = discrepancy(all_xx, all_yy, all_xy, n, m), .subsets = 1, .size = a.size(0)};
  if (n < 3 || m < 3) return result;
  const double variance =
      jackknife_variance(xx.size(),
                         [&](size_t i) {
                           return discrepancy(all_xx - 2 * xx[i], all_yy, all_xy - xy[i], n - 1, m);
                         }) +
      jackknife_variance(yy.size(), [&](size_t j) {
        return discrepancy(all_xx, all_yy - 2 * yy[j], all_xy - yx[j], n, m - 1);
      });
  result.standard_error = std::sqrt(variance);
  return result;
}

}  // namespace

KernelDistance kernel_distance(const Tensor& a, const Tensor& b, uint64_t seed) {
  check_feature_sets("kernel distance", a, b, 2);
  const int64_t size = std::min({kSubsetSize, a.size(0), b.size(0)});
  if (size == a.size(0) && size == b.size(0)) return of_whole_sets(a, b);
  std::vector<double> values;
  for (uint64_t s = 0; s < kSubsets; ++s) {
    values.push_back(
        discrepancy(chosen_rows(a, random_subset(a.size(0), size, Philox(seed, 2 * s))),
                    chosen_rows(b, random_subset(b.size(0), size, Philox(seed, 2 * s + 1)))));
  }
  const double count = static_cast<double>(kSubsets), mean = total(values) / count;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {.value = mean,
          .standard_error = std::sqrt(squares / pairs(count)),
          .subsets = kSubsets,
          .size = size};
}

}  // namespace ddpm
