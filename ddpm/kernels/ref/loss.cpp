// The time embedding, and the losses with their gradients: weighted means over all elements, summed
// in double from first to last.

#include <algorithm>
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

void RefBackend::run(const op::SinusoidalEmbedding& o) {
  const int64_t dim = o.y.size(1);
  for (int64_t n = 0; n < o.t.size(0); ++n) {
    for (int64_t i = 0; i < dim; i += 2) {
      const double angle =
          o.t.f32()[n] / std::pow(10000.0, static_cast<double>(i) / static_cast<double>(dim));
      o.y.f32()[n * dim + i] = static_cast<float>(std::sin(angle));
      o.y.f32()[n * dim + i + 1] = static_cast<float>(std::cos(angle));
    }
  }
}

void RefBackend::run(const op::Loss& o) {
  const int64_t count = o.prediction.elements(), images = o.prediction.size(0);
  const int64_t size = count / std::max<int64_t>(images, 1);
  const float *p = o.prediction.f32(), *t = o.target.f32();
  const float* weights = o.weights ? o.weights->f32() : nullptr;
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    sum += (weights ? weights[i / size] : 1) * loss_at(o.kind, double{p[i]} - t[i]);
  }
  o.mean = sum / static_cast<double>(count);
}

void RefBackend::run(const op::LossBackward& o) {
  const int64_t count = o.prediction.elements(), images = o.prediction.size(0);
  const int64_t size = count / std::max<int64_t>(images, 1);
  const float *p = o.prediction.f32(), *t = o.target.f32();
  const float* weights = o.weights ? o.weights->f32() : nullptr;
  const double factor = o.upstream / static_cast<double>(count);
  float* to = o.dprediction.f32();
  for (int64_t i = 0; i < count; ++i) {
    const double slope = factor * slope_at(o.kind, double{p[i]} - t[i]);
    to[i] = static_cast<float>((weights ? weights[i / size] : 1) * slope);
  }
}

}  // namespace ddpm
