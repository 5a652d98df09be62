// Noised images and targets are sums of images and noise with one coefficient per image, computed
// in double on the host. If the target is the noise or the image itself, nothing is computed.
#include "ddpm/diffusion/noised_batch.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/kernels/backend.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

// The coefficients of a sum of images and noise, one per image.
struct Mix {
  explicit Mix(size_t images) : x0(images), noise(images) {}

  void set(size_t n, double from_x0, double from_noise) {
    x0[n] = static_cast<float>(from_x0);
    noise[n] = static_cast<float>(from_noise);
  }
  // Whether every image has these coefficients.
  bool is(float from_x0, float from_noise) const {
    const auto all = [](const std::vector<float>& values, float wanted) {
      return std::all_of(values.begin(), values.end(), [&](float v) { return v == wanted; });
    };
    return all(x0, from_x0) && all(noise, from_noise);
  }
  void apply(const Tensor& images, const Tensor& drawn, Tensor& out) const {
    backend_for(images.device())
        .run(op::Combine{.inputs = {&images, &drawn}, .coefficients = {x0, noise}, .y = out});
  }

  std::vector<float> x0, noise;
};

void check_fit(size_t levels, const Tensor& x0, const Tensor& noise) {
  if (noise.shape() != x0.shape() || x0.shape().rank() < 1 ||
      x0.size(0) != static_cast<int64_t>(levels)) {
    fail("noise", fmt::format("images {}, noise {} and {} levels do not fit together",
                              x0.shape().str(), noise.shape().str(), levels));
  }
}

Tensor target_of(const Mix& mix, const Tensor& x0, const Tensor& noise) {
  if (mix.is(0, 1)) return noise;
  if (mix.is(1, 0)) return x0;
  Tensor target(x0.shape(), DType::kFloat32, x0.device());  // [N, H, W, C]
  mix.apply(x0, noise, target);
  return target;
}

// A tensor [N] of values, on a device.
template <class Value>
Tensor per_image(int64_t images, Device device, Value value) {
  std::vector<float> values(static_cast<size_t>(images));
  for (size_t n = 0; n < values.size(); ++n) values[n] = static_cast<float>(value(n));
  return Tensor::of({images}, values, device);
}

// use(n) returns how the network is used for image n.
template <class Use>
NoisedBatch batch_of(const std::vector<NoiseLevel>& levels, Use use, const Tensor& x0,
                     const Tensor& noise) {
  check_fit(levels.size(), x0, noise);
  Mix input(levels.size()), target(levels.size());
  std::vector<double> weights(levels.size());
  NoisedBatch batch;
  for (size_t n = 0; n < levels.size(); ++n) {
    const Preconditioning p = use(n);
    batch.from_input.push_back(static_cast<float>(p.c_skip / p.c_in));
    batch.from_output.push_back(static_cast<float>(p.c_out));
    input.set(n, p.c_in * levels[n].alpha(), p.c_in * levels[n].sigma());
    target.set(n, p.target_x0, p.target_noise);
    weights[n] = p.weight;
  }
  const Device device = x0.device();
  batch.input = Tensor(x0.shape(), DType::kFloat32, device);
  input.apply(x0, noise, batch.input);
  batch.t = per_image(x0.size(0), device, [&](size_t n) { return levels[n].t; });
  batch.target = target_of(target, x0, noise);
  if (!std::all_of(weights.begin(), weights.end(), [](double weight) { return weight == 1; })) {
    batch.weights = per_image(x0.size(0), device, [&](size_t n) { return weights[n]; });
  }
  return batch;
}

}  // namespace

Tensor NoisedBatch::estimate(const Tensor& output) const {
  Tensor x0(input.shape(), DType::kFloat32, input.device());  // [N, H, W, C]
  backend_for(input.device())
      .run(op::Combine{
          .inputs = {&input, &output}, .coefficients = {from_input, from_output}, .y = x0});
  return x0;
}

void add_noise(const std::vector<NoiseLevel>& levels, const Tensor& x0, const Tensor& noise,
               Tensor& xt) {
  check_fit(levels.size(), x0, noise);
  if (xt.shape() != x0.shape()) {
    fail("noise", fmt::format("images {} and room for noised images {} do not fit together",
                              x0.shape().str(), xt.shape().str()));
  }
  Mix mix(levels.size());
  for (size_t n = 0; n < levels.size(); ++n) mix.set(n, levels[n].alpha(), levels[n].sigma());
  mix.apply(x0, noise, xt);
}

NoisedBatch noised_batch(const std::vector<NoiseLevel>& levels,
                         const std::vector<Preconditioning>& uses, const Tensor& x0,
                         const Tensor& noise) {
  DDPM_CHECK(uses.size() == levels.size());
  return batch_of(
      levels, [&](size_t n) { return uses[n]; }, x0, noise);
}

NoisedBatch noised_batch(const Process& process, const std::vector<NoiseLevel>& levels,
                         const Tensor& x0, const Tensor& noise) {
  return batch_of(
      levels, [&](size_t n) { return process.preconditioning(levels[n]); }, x0, noise);
}

NoisedBatch noised_batch(const Process& process, const NoiseSeeds& seeds, uint64_t first,
                         const Tensor& x0) {
  const auto images = static_cast<size_t>(x0.size(0));
  const Philox random(seeds.levels);
  std::vector<NoiseLevel> levels(images, process.draw(random, first));
  std::vector<uint64_t> noise_seeds(images);
  // Without this check, a batch of millions on a device without values would take time for nothing.
  for (size_t n = 0; x0.memory().holds_values() && n < images; ++n) {
    levels[n] = process.draw(random, first + n);
    noise_seeds[n] = mix_seed(seeds.noise, first + n);
  }
  Tensor noise(x0.shape(), DType::kFloat32, x0.device());  // [N, H, W, C]
  backend_for(x0.device()).run(op::Normal{.seeds = noise_seeds, .stream = 0, .x = noise});
  return noised_batch(process, levels, x0, noise);
}

}  // namespace ddpm
