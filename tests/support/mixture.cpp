#include "tests/support/mixture.h"

#include <array>
#include <cmath>

#include "ddpm/base/philox.h"

namespace ddpm::test {
namespace {

constexpr int64_t kD = 4;  // values of an image

struct Component {
  float weight, deviation;
  std::array<float, kD> mean;
};
constexpr std::array<Component, 3> kComponents = {{{0.5f, 0.08f, {0.6f, 0.6f, -0.6f, -0.6f}},
                                                   {0.3f, 0.10f, {-0.6f, 0.2f, 0.6f, -0.2f}},
                                                   {0.2f, 0.05f, {0.0f, -0.7f, 0.0f, 0.7f}}}};

double distance(const float* a, const float* b) {
  double square = 0;
  for (int64_t i = 0; i < kD; ++i) square += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return std::sqrt(square);
}

// The mean over all pairs, those of one image with itself left out where the sets are the same.
double mean_distance(const Tensor& a, const Tensor& b) {
  double sum = 0, pairs = 0;
  const bool same = a.f32() == b.f32();
  for (int64_t i = 0; i < a.size(0); ++i) {
    for (int64_t j = 0; j < b.size(0); ++j) {
      if (same && i == j) continue;
      sum += distance(a.f32() + i * kD, b.f32() + j * kD);
      ++pairs;
    }
  }
  return sum / pairs;
}

}  // namespace

Shape mixture_image() { return {2, 2, 1}; }

Tensor mixture_samples(uint64_t seed, int64_t first, int64_t count) {
  Tensor images({count, 2, 2, 1});
  const Philox choice(seed, 0), noise(seed, 1);
  for (int64_t n = 0; n < count; ++n) {
    const auto position = static_cast<uint64_t>(first + n);
    float left = choice.uniform(position);
    size_t chosen = 0;
    while (chosen + 1 < kComponents.size() && left >= kComponents[chosen].weight) {
      left -= kComponents[chosen++].weight;
    }
    float* to = images.f32() + n * kD;
    noise.normal(position * kD, kD, to);
    const Component& from = kComponents[chosen];
    for (size_t i = 0; i < kD; ++i) to[i] = from.mean[i] + from.deviation * to[i];
  }
  return images;
}

double energy_distance(const Tensor& a, const Tensor& b) {
  return 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b);
}

}  // namespace ddpm::test
