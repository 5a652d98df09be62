// w [kh, kw, C, K] is a matrix [kh kw C][K] whose columns are normalised. This is the arithmetic of
// group normalisation with one image and one group for each column. Threads take blocks of rows,
// and the moments of the blocks are merged in order. Moments of equal numbers are exact, so a
// constant filter has a variance of exactly zero. Then rstd is 0, and so are the result and its
// gradient.
#include "ddpm/kernels/cpu/norm/weight_standardization.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/norm/column_norm.h"
#include "ddpm/kernels/cpu/work/phases.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kBlockRows = 128;  // a sum over them in float32 loses less than a digit

struct Extents {
  Extents(int64_t all_rows, int64_t all_columns)
      : columns(all_columns), rows(all_rows), blocks(ceil_div(rows, kBlockRows)) {}
  int64_t rows_of(int64_t b) const { return std::min(kBlockRows, rows - b * kBlockRows); }
  int64_t at(int64_t b) const { return b * kBlockRows * columns; }
  int64_t columns, rows, blocks;
};

constexpr int64_t kMergeGrain = 64;  // columns
constexpr int64_t kApplyGrain = 64;  // rows
constexpr int64_t kMomentsCost = 4;  // of an element, in multiply-adds

}  // namespace

void weight_moments(double eps, const float* w, int64_t rows, int64_t columns, float* mean,
                    float* rstd) {
  const Extents e(rows, columns);
  const int64_t K = columns;
  Scratch<double> moments(e.blocks * 2 * K);
  for_each_task(e.blocks, kMomentsCost * rows * columns, [&](int64_t b) {
    double* to_moments = moments.data() + b * 2 * K;
    column_moments(w + e.at(b), e.rows_of(b), K, to_moments, to_moments + K);
  });
  // Columns [first, last).
  parallel_for(K, kMergeGrain, [&](int64_t first, int64_t last) {
    const double all = static_cast<double>(rows);
    std::vector<double> m(last - first), squares(last - first);
    for (int64_t b = 0; b < e.blocks; ++b) {
      const double* means = moments.data() + b * 2 * K + first;
      const double count = static_cast<double>(e.rows_of(b));
      for (int64_t k = 0; k < last - first; ++k) m[k] += means[k] * count;
    }
    for (double& value : m) value /= all;
    for (int64_t b = 0; b < e.blocks; ++b) {
      const double* means = moments.data() + b * 2 * K + first;
      const double count = static_cast<double>(e.rows_of(b));
      for (int64_t k = 0; k < last - first; ++k) {
        squares[k] += means[K + k] + count * (means[k] - m[k]) * (means[k] - m[k]);
      }
    }
    for (int64_t k = first; k < last; ++k) {
      double r = 1 / std::sqrt(squares[k - first] / all + eps);
      if (r > std::numeric_limits<float>::max()) r = 0;
      mean[k] = static_cast<float>(m[k - first]);
      rstd[k] = static_cast<float>(r);
    }
  });
}

void standardize_weights(const float* w, int64_t rows, int64_t columns, const float* mean,
                         const float* rstd, float* standardized) {
  const std::vector<float> zeros(static_cast<size_t>(columns));
  parallel_for(rows, kApplyGrain, [&](int64_t begin, int64_t end) {
    normalize_columns(false, w + begin * columns, end - begin, columns, {mean, rstd, zeros.data()},
                      nullptr, standardized + begin * columns);
  });
}

// With s = (w - mean) rstd: dw = rstd (ds - average(ds) - s average(ds s)).
void weight_standardize_backward(const float* dstandardized, const float* w, int64_t rows,
                                 int64_t columns, const float* mean, const float* rstd, float* dw) {
  const Extents e(rows, columns);
  const int64_t K = columns;
  Scratch<> sums(e.blocks * 2 * K);
  std::vector<float> slope(K), offset(K);
  const ColumnAffine affine{mean, rstd, nullptr};
  const auto reduce = [&](int64_t, int64_t b) {
    float* to_sums = sums.data() + b * 2 * K;
    gradient_sums(false, dstandardized + e.at(b), w + e.at(b), e.rows_of(b), K, affine, nullptr,
                  to_sums, to_sums + K);
  };
  const auto merge_columns = [&](int64_t first, int64_t last) {
    std::vector<double> ds(last - first), dsw(last - first);
    for (int64_t b = 0; b < e.blocks; ++b) {
      const float* block_sums = sums.data() + b * 2 * K + first;
      for (int64_t k = 0; k < last - first; ++k) {
        ds[k] += block_sums[k];
        dsw[k] += block_sums[K + k];
      }
    }
    for (int64_t k = first; k < last; ++k) {
      const double r = affine.scale[k], all = static_cast<double>(rows);
      offset[k] = static_cast<float>(-r * ds[k - first] / all);
      slope[k] = static_cast<float>(-r * r * r * dsw[k - first] / all);
    }
  };
  const auto merge = [&](int64_t) { parallel_for(K, kMergeGrain, merge_columns); };
  const auto apply = [&](int64_t, int64_t b) {
    normalize_gradient(dstandardized + e.at(b), w + e.at(b), e.rows_of(b), K, affine, slope.data(),
                       offset.data(), dw + e.at(b));
  };
  for_each_image_in_phases(1, e.blocks, rows * columns, reduce, merge, apply);
}

}  // namespace ddpm::cpu
