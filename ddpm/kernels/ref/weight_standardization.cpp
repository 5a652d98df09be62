// Weight standardization: statistics down each column of w seen as [kh * kw * C, K]. In double the
// mean of equal floats is exact, so a constant filter has exactly zero variance and gives zeros. A
// filter whose deviation is so small that its inverse is no float counts as constant too.

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {

void RefBackend::run(const op::WeightMoments& o) {
  const int64_t K = o.w.size(-1), rows = o.w.elements() / std::max<int64_t>(K, 1);
  const float* weight = o.w.f32();
  std::vector<double> m(K), r(K);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t k = 0; k < K; ++k) m[k] += weight[row * K + k];
  }
  for (double& value : m) value /= static_cast<double>(rows);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t k = 0; k < K; ++k) {
      const double centred = weight[row * K + k] - m[k];
      r[k] += centred * centred;
    }
  }
  for (double& value : r) {
    value = 1 / std::sqrt(value / static_cast<double>(rows) + o.eps);
    if (value > std::numeric_limits<float>::max()) value = 0;
  }
  std::copy(m.begin(), m.end(), o.mean.f32());
  std::copy(r.begin(), r.end(), o.rstd.f32());
}

// With s = (w - mean) rstd: dw = rstd (ds - average(ds) - s average(ds s)).
void RefBackend::run(const op::WeightStandardizeBackward& o) {
  const int64_t K = o.w.size(-1), rows = o.w.elements() / std::max<int64_t>(K, 1);
  const float *grad = o.dstandardized.f32(), *weight = o.w.f32();
  const float *m = o.mean.f32(), *r = o.rstd.f32();
  std::vector<double> average(K), slope(K);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t k = 0; k < K; ++k) {
      const double ds = grad[row * K + k];
      average[k] += ds;
      slope[k] += ds * ((double{weight[row * K + k]} - m[k]) * r[k]);
    }
  }
  float* to = o.dw.f32();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t k = 0; k < K; ++k) {
      const double s = (double{weight[row * K + k]} - m[k]) * r[k];
      const double centred = grad[row * K + k] - (average[k] + s * slope[k]) / rows;
      to[row * K + k] = static_cast<float>(r[k] * centred);
    }
  }
}

}  // namespace ddpm
