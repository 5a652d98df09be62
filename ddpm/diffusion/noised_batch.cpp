// Noised images and targets are sums of images and noise with one coefficient per image, computed
// in double on the host. If the target is the noise or the image itself, nothing is computed.
#include "ddpm/diffusion/noised_batch.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/training/pairing.h"
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

Mix target_mix(const std::vector<Preconditioning>& uses) {
  Mix mix(uses.size());
  for (size_t n = 0; n < uses.size(); ++n) mix.set(n, uses[n].target_x0, uses[n].target_noise);
  return mix;
}

// A tensor [N] of values, on a device.
template <class Value>
Tensor per_image(int64_t images, Device device, Value value) {
  std::vector<float> values(static_cast<size_t>(images));
  for (size_t n = 0; n < values.size(); ++n) values[n] = static_cast<float>(value(n));
  return Tensor::of({images}, values, device);
}

NoisedBatch batch_of(const std::vector<NoiseLevel>& levels,
                     const std::vector<Preconditioning>& uses, const Tensor& x0,
                     const BatchNoise& noise) {
  check_fit(levels.size(), x0, noise.target);
  check_fit(levels.size(), x0, noise.input);
  Mix input(levels.size());
  for (size_t n = 0; n < levels.size(); ++n)
    input.set(n, uses[n].c_in * levels[n].alpha(), uses[n].c_in * levels[n].sigma());
  const Device device = x0.device();
  NoisedBatch batch;
  batch.input = Tensor(x0.shape(), DType::kFloat32, device);
  input.apply(x0, noise.input, batch.input);
  batch.t = per_image(x0.size(0), device, [&](size_t n) { return levels[n].t; });
  batch.target = target_of(target_mix(uses), x0, noise.target);
  const auto is_one = [](const Preconditioning& use) { return use.weight == 1; };
  if (!std::all_of(uses.begin(), uses.end(), is_one)) {
    batch.weights = per_image(x0.size(0), device, [&](size_t n) { return uses[n].weight; });
  }
  batch.uses = uses;
  return batch;
}

std::vector<Preconditioning> uses_of(const Process& process,
                                     const std::vector<NoiseLevel>& levels) {
  std::vector<Preconditioning> uses;
  for (const NoiseLevel& level : levels) uses.push_back(process.preconditioning(level));
  return uses;
}

NoisedBatch batch_of(const Process& process, const std::vector<NoiseLevel>& levels,
                     const Tensor& x0, const BatchNoise& noise) {
  NoisedBatch batch = batch_of(levels, uses_of(process, levels), x0, noise);
  if (!process.learned_variance()) return batch;
  batch.x0 = x0;
  for (const NoiseLevel& level : levels) batch.bounds.push_back(process.bound(level));
  if (process.input_perturbation() > 0) {
    batch.bound_target = target_of(target_mix(batch.uses), x0, noise.input);
  }
  return batch;
}

// The seeds of images at positions first, first + 1, ... On a device without values they stay 0, so
// that a batch of millions takes no time there.
std::vector<uint64_t> seeds_of(uint64_t seed, uint64_t first, const Tensor& images) {
  const int64_t count = images.size(0);
  if (!images.memory().holds_values()) return std::vector<uint64_t>(static_cast<size_t>(count));
  return image_seeds(seed, static_cast<int64_t>(first), count);
}

// The rows of the noise in the order in which the images get them.
Tensor paired(const Process& process, const Tensor& x0, const Tensor& noise,
              const std::vector<Tensor>& told) {
  if (process.pairing() == Pairing::kNone || !x0.memory().holds_values()) return noise;
  const auto host = [](const Tensor& tensor) {
    return tensor.defined() ? tensor.to(Device::kCpu) : Tensor();
  };
  std::vector<Tensor> told_on_host;
  for (const Tensor& one : told) told_on_host.push_back(host(one));
  const Tensor drawn = host(noise);
  const std::vector<int64_t> order =
      paired_noise(process.pairing(), host(x0), drawn, sets_told_apart(told_on_host, x0.size(0)));
  Tensor ordered(noise.shape());
  for (int64_t n = 0; n < x0.size(0); ++n) {
    Tensor row = ordered.rows(n, n + 1);
    row.copy_from(drawn.rows(order[n], order[n] + 1));
  }
  return ordered.to(noise.device());
}

BatchNoise drawn_noise(const Process& process, const NoiseSeeds& seeds, uint64_t first,
                       const Tensor& x0, const std::vector<Tensor>& told) {
  const Shape image = {x0.size(1), x0.size(2), x0.size(3)};
  BatchNoise noise;
  noise.target = paired(
      process, x0,
      noise_of(seeds_of(seeds.noise, first, x0), 0, process.offset_noise(), image, x0.device()),
      told);
  noise.input = noise.target;
  if (process.input_perturbation() == 0) return noise;
  const Tensor further =
      noise_of(seeds_of(seeds.perturbation, first, x0), 0, 0, image, x0.device());
  noise.input = Tensor(x0.shape(), DType::kFloat32, x0.device());
  Mix mix(static_cast<size_t>(x0.size(0)));
  for (size_t n = 0; n < mix.x0.size(); ++n) mix.set(n, 1, process.input_perturbation());
  mix.apply(noise.target, further, noise.input);
  return noise;
}

std::vector<NoiseLevel> drawn_levels(const Process& process, uint64_t seed, const ImageRange& part,
                                     const ImageRange& batch, const Tensor& x0) {
  const auto images = static_cast<size_t>(part.count);
  const Philox random(seed);
  std::vector<NoiseLevel> levels(images, process.draw(random, part.first));
  // Without this check, a batch of millions on a device without values would take time for nothing.
  if (!x0.memory().holds_values()) return levels;
  if (process.low_discrepancy()) {
    const std::vector<double> quantiles =
        stratified_quantiles(seed, batch.count > 0 ? batch : part, part);
    std::transform(quantiles.begin(), quantiles.end(), levels.begin(),
                   [&](double q) { return process.at_quantile(q); });
    return levels;
  }
  for (size_t n = 0; n < images; ++n) levels[n] = process.draw(random, part.first + n);
  return levels;
}

}  // namespace

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
                         const BatchNoise& noise) {
  DDPM_CHECK(uses.size() == levels.size());
  return batch_of(levels, uses, x0, noise);
}

NoisedBatch noised_batch(const Process& process, const std::vector<NoiseLevel>& levels,
                         const Tensor& x0, const Tensor& noise) {
  return batch_of(process, levels, x0, {.target = noise, .input = noise});
}

NoisedBatch noised_batch(const Process& process, const NoiseSeeds& seeds, uint64_t first,
                         const Tensor& x0, const DrawnTogether& together) {
  const ImageRange part{.first = first, .count = x0.size(0)};
  return batch_of(process, drawn_levels(process, seeds.levels, part, together.batch, x0), x0,
                  drawn_noise(process, seeds, first, x0, together.told));
}

Tensor estimate_of(const NoisedBatch& batch, const Tensor& output) {
  const Tensor& x = batch.input;  // [N, H, W, C], scaled by c_in
  Backend& backend = backend_for(x.device());
  Tensor mean = output;  // [N, H, W, C]
  if (output.shape() != x.shape()) {
    mean = Tensor(x.shape(), DType::kFloat32, x.device());
    backend.run(op::SplitChannels{.y = output, .a = &mean});
  }
  Mix mix(batch.uses.size());
  for (size_t n = 0; n < batch.uses.size(); ++n) {
    mix.set(n, batch.uses[n].c_skip / batch.uses[n].c_in, batch.uses[n].c_out);
  }
  Tensor estimate(x.shape(), DType::kFloat32, x.device());  // [N, H, W, C]
  mix.apply(x, mean, estimate);
  backend.run(op::Clamp{.low = -1, .high = 1, .x = estimate});
  return estimate;
}

}  // namespace ddpm
