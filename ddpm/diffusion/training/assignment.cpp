// Rows are added one after the other. Each row searches, as Dijkstra's algorithm does, for the
// nearest free column along paths that alternate between columns and the rows that have them. The
// lengths are costs minus the potentials of row and column, which keeps them at least 0.
#include "ddpm/diffusion/training/assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

constexpr int64_t kNone = -1;

class Assignment {
 public:
  Assignment(const std::vector<double>& costs, int64_t n)
      : costs_(costs),
        n_(n),
        row_potential_(static_cast<size_t>(n)),
        column_potential_(static_cast<size_t>(n)),
        row_of_(static_cast<size_t>(n), kNone),
        column_of_(static_cast<size_t>(n), kNone) {}

  void add(int64_t row);
  std::vector<int64_t> columns() && { return std::move(column_of_); }

 private:
  // The nearest column that the search has not reached finally.
  int64_t nearest() const {
    int64_t best = kNone;
    for (int64_t j = 0; j < n_; ++j) {
      if (!reached_[j] && (best == kNone || distance_[j] < distance_[best])) best = j;
    }
    return best;
  }

  const std::vector<double>& costs_;
  int64_t n_;
  std::vector<double> row_potential_, column_potential_;
  std::vector<int64_t> row_of_, column_of_;
  // Of one search: the length of the shortest path to each column, the row before it, and whether
  // this length is final.
  std::vector<double> distance_;
  std::vector<int64_t> before_;
  std::vector<bool> reached_;
};

void Assignment::add(int64_t row) {
  const auto size = static_cast<size_t>(n_);
  distance_.assign(size, std::numeric_limits<double>::infinity());
  before_.assign(size, kNone);
  reached_.assign(size, false);
  std::vector<int64_t> final_columns;
  int64_t i = row, end = kNone;
  double length = 0;
  for (;;) {
    for (int64_t j = 0; j < n_; ++j) {
      if (reached_[j]) continue;
      const double through =
          length + (costs_[i * n_ + j] - row_potential_[i] - column_potential_[j]);
      if (through < distance_[j]) distance_[j] = through, before_[j] = i;
    }
    end = nearest();
    length = distance_[end];
    if (row_of_[end] == kNone) break;
    reached_[end] = true;
    final_columns.push_back(end);
    i = row_of_[end];
  }
  row_potential_[row] += length;
  for (const int64_t j : final_columns) {
    row_potential_[row_of_[j]] += length - distance_[j];
    column_potential_[j] -= length - distance_[j];
  }
  // Each row on the path takes the next column.
  for (int64_t j = end; j != kNone;) {
    const int64_t taker = before_[j];
    row_of_[j] = taker;
    std::swap(column_of_[taker], j);
  }
}

}  // namespace

std::vector<int64_t> least_cost_assignment(const std::vector<double>& costs, int64_t n) {
  DDPM_CHECK(n >= 0 && static_cast<int64_t>(costs.size()) == n * n);
  DDPM_CHECK(std::all_of(costs.begin(), costs.end(), [](double c) { return std::isfinite(c); }));
  Assignment assignment(costs, n);
  for (int64_t row = 0; row < n; ++row) assignment.add(row);
  return std::move(assignment).columns();
}

}  // namespace ddpm
