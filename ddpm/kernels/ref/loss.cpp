// The time embedding, and the losses with their gradients: mean over all elements, summed in double
// from first to last.

#include <cmath>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

double loss_at(LossKind kind, double difference) {
  const double size = std::abs(difference);
  switch (kind) {
    case LossKind::kMse:
      return difference * difference;
    case LossKind::kL1:
      return size;
    case LossKind::kHuber:
      return size <= 1 ? 0.5 * difference * difference : size - 0.5;
  }
  return 0;
}

// Of the absolute value we take slope 0 at 0; NaN stays NaN.
double slope_at(LossKind kind, double difference) {
  const double sign = difference > 0 ? 1 : difference < 0 ? -1 : difference;
  switch (kind) {
    case LossKind::kMse:
      return 2 * difference;
    case LossKind::kL1:
      return sign;
    case LossKind::kHuber:
      return std::abs(difference) <= 1 ? difference : sign;
  }
  return 0;
}

}  // namespace

void RefBackend::sinusoidal_embedding(const Tensor& t, Tensor& y) {
  const int64_t dim = y.size(1);
  for (int64_t n = 0; n < t.size(0); ++n) {
    for (int64_t i = 0; i < dim; i += 2) {
      const double angle =
          t.f32()[n] / std::pow(10000.0, static_cast<double>(i) / static_cast<double>(dim));
      y.f32()[n * dim + i] = static_cast<float>(std::sin(angle));
      y.f32()[n * dim + i + 1] = static_cast<float>(std::cos(angle));
    }
  }
}

double RefBackend::loss(LossKind kind, const Tensor& prediction, const Tensor& target) {
  const float *p = prediction.f32(), *t = target.f32();
  double sum = 0;
  for (int64_t i = 0; i < prediction.elements(); ++i) sum += loss_at(kind, double{p[i]} - t[i]);
  return sum / static_cast<double>(prediction.elements());
}

void RefBackend::loss_backward(LossKind kind, const Tensor& prediction, const Tensor& target,
                               float upstream, Tensor& dprediction) {
  const float *p = prediction.f32(), *t = target.f32();
  const double factor = upstream / static_cast<double>(prediction.elements());
  float* to = dprediction.f32();
  for (int64_t i = 0; i < prediction.elements(); ++i) {
    to[i] = static_cast<float>(factor * slope_at(kind, double{p[i]} - t[i]));
  }
}

}  // namespace ddpm
