// Weight standardization: w [kh, kw, C, K] is a matrix [kh kw C][K] whose columns are normalised,
// so this is group normalisation's arithmetic with one image and a group per column. Blocks of rows
// go to threads; their moments are merged in order. Moments of equal numbers are exact, so a
// constant filter has exactly zero variance; rstd is 0 then, and so are the result and its
// gradient.

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/column_norm.h"
#include "ddpm/kernels/cpu/cpu_backend.h"
#include "ddpm/kernels/cpu/phases.h"
#include "ddpm/kernels/cpu/tasks.h"

namespace ddpm {
namespace {

constexpr int64_t kBlockRows = 128;  // a sum over them in float32 loses less than a digit

struct Extents {
  explicit Extents(const Tensor& w)
      : columns(w.size(-1)),
        rows(w.elements() / std::max<int64_t>(columns, 1)),
        blocks(cpu::ceil_div(rows, kBlockRows)) {}
  int64_t rows_of(int64_t b) const { return std::min(kBlockRows, rows - b * kBlockRows); }
  int64_t at(int64_t b) const { return b * kBlockRows * columns; }
  int64_t columns, rows, blocks;
};

constexpr int64_t kMergeGrain = 64;  // columns
constexpr int64_t kMomentsCost = 4;  // of an element, in multiply-adds

}  // namespace

void CpuBackend::weight_moments(double eps, const Tensor& w, Tensor& mean, Tensor& rstd) {
  const Extents e(w);
  const int64_t K = e.columns;
  const float* from = w.f32();
  float *centre = mean.f32(), *scale = rstd.f32();
  cpu::Scratch moments(e.blocks * 2 * K * static_cast<int64_t>(sizeof(double)));
  cpu::for_each_task(e.blocks, kMomentsCost * w.elements(), [&](int64_t b) {
    double* to_moments = moments.as<double>() + b * 2 * K;
    cpu::column_moments(from + e.at(b), e.rows_of(b), K, to_moments, to_moments + K);
  });
  // Columns [first, last).
  parallel_for(K, kMergeGrain, [&](int64_t first, int64_t last) {
    const double rows = static_cast<double>(e.rows);
    std::vector<double> m(last - first), squares(last - first);
    for (int64_t b = 0; b < e.blocks; ++b) {
      const double* means = moments.as<double>() + b * 2 * K + first;
      const double count = static_cast<double>(e.rows_of(b));
      for (int64_t k = 0; k < last - first; ++k) m[k] += means[k] * count;
    }
    for (double& value : m) value /= rows;
    for (int64_t b = 0; b < e.blocks; ++b) {
      const double* means = moments.as<double>() + b * 2 * K + first;
      const double count = static_cast<double>(e.rows_of(b));
      for (int64_t k = 0; k < last - first; ++k) {
        squares[k] += means[K + k] + count * (means[k] - m[k]) * (means[k] - m[k]);
      }
    }
    for (int64_t k = first; k < last; ++k) {
      double r = 1 / std::sqrt(squares[k - first] / rows + eps);
      if (r > std::numeric_limits<float>::max()) r = 0;
      centre[k] = static_cast<float>(m[k - first]);
      scale[k] = static_cast<float>(r);
    }
  });
}

// With s = (w - mean) rstd: dw = rstd (ds - average(ds) - s average(ds s)).
void CpuBackend::weight_standardize_backward(const Tensor& dstandardized, const Tensor& w,
                                             const Tensor& mean, const Tensor& rstd, Tensor& dw) {
  const Extents e(w);
  const int64_t K = e.columns;
  const float *grad = dstandardized.f32(), *from = w.f32();
  float* to = dw.f32();
  cpu::Scratch sums(e.blocks * 2 * K * static_cast<int64_t>(sizeof(float)));
  std::vector<float> slope(K), offset(K);
  const cpu::ColumnAffine affine{mean.f32(), rstd.f32(), nullptr};
  const auto reduce = [&](int64_t, int64_t b) {
    float* to_sums = sums.as<float>() + b * 2 * K;
    cpu::gradient_sums(false, grad + e.at(b), from + e.at(b), e.rows_of(b), K, affine, nullptr,
                       to_sums, to_sums + K);
  };
  const auto merge_columns = [&](int64_t first, int64_t last) {
    std::vector<double> ds(last - first), dsw(last - first);
    for (int64_t b = 0; b < e.blocks; ++b) {
      const float* block_sums = sums.as<float>() + b * 2 * K + first;
      for (int64_t k = 0; k < last - first; ++k) {
        ds[k] += block_sums[k];
        dsw[k] += block_sums[K + k];
      }
    }
    for (int64_t k = first; k < last; ++k) {
      const double r = affine.scale[k], rows = static_cast<double>(e.rows);
      offset[k] = static_cast<float>(-r * ds[k - first] / rows);
      slope[k] = static_cast<float>(-r * r * r * dsw[k - first] / rows);
    }
  };
  const auto merge = [&](int64_t) { parallel_for(K, kMergeGrain, merge_columns); };
  const auto apply = [&](int64_t, int64_t b) {
    cpu::normalize_gradient(grad + e.at(b), from + e.at(b), e.rows_of(b), K, affine, slope.data(),
                            offset.data(), to + e.at(b));
  };
  cpu::for_each_image_in_phases(1, e.blocks, w.elements(), reduce, merge, apply);
}

}  // namespace ddpm
