// Noising and targets are sums of images and noise with one coefficient per image, computed in
// double on the host. A target that is the noise or the image itself costs nothing.
#include "ddpm/diffusion/noised_batch.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {
namespace {

// Coefficients of one image.
struct Mix {
  double x0 = 0;
  double noise = 0;
};

void check_fit(size_t levels, const Tensor& x0, const Tensor& noise) {
  if (noise.shape() != x0.shape() || x0.shape().rank() < 1 ||
      x0.size(0) != static_cast<int64_t>(levels)) {
    fail("noise", fmt::format("images {}, noise {} and {} levels do not fit together",
                              x0.shape().str(), noise.shape().str(), levels));
  }
}

void mix(const std::vector<Mix>& mixes, const Tensor& x0, const Tensor& noise, Tensor& out) {
  std::vector<float> from_x0, from_noise;
  for (const Mix& mix : mixes) {
    from_x0.push_back(static_cast<float>(mix.x0));
    from_noise.push_back(static_cast<float>(mix.noise));
  }
  backend_for(x0.device())
      .run(op::Combine{.inputs = {&x0, &noise}, .coefficients = {from_x0, from_noise}, .y = out});
}

Tensor target_of(const std::vector<Mix>& mixes, const Tensor& x0, const Tensor& noise) {
  const auto all = [&](double from_x0, double from_noise) {
    return std::all_of(mixes.begin(), mixes.end(), [&](const Mix& mix) {
      return mix.x0 == from_x0 && mix.noise == from_noise;
    });
  };
  if (all(0, 1)) return noise;
  if (all(1, 0)) return x0;
  Tensor target(x0.shape(), DType::kFloat32, x0.device());  // [N, H, W, C]
  mix(mixes, x0, noise, target);
  return target;
}

// The steps that the network is told, on a device. Values are written on the host; kDry has none.
Tensor told(const std::vector<NoiseLevel>& levels, Device device) {
  const bool values = holds_values(device);
  Tensor t({static_cast<int64_t>(levels.size())}, DType::kFloat32,
           values ? Device::kCpu : device);  // [N]
  for (size_t n = 0; values && n < levels.size(); ++n) {
    t.f32()[n] = static_cast<float>(levels[n].t);
  }
  return t.on(device);
}

}  // namespace

void add_noise(const std::vector<NoiseLevel>& levels, const Tensor& x0, const Tensor& noise,
               Tensor& xt) {
  check_fit(levels.size(), x0, noise);
  if (xt.shape() != x0.shape()) {
    fail("noise", fmt::format("images {} and room for noised images {} do not fit together",
                              x0.shape().str(), xt.shape().str()));
  }
  std::vector<Mix> mixes;
  for (const NoiseLevel& level : levels) mixes.push_back({level.alpha(), level.sigma()});
  mix(mixes, x0, noise, xt);
}

NoisedBatch noised_batch(const Process& process, const std::vector<NoiseLevel>& levels,
                         const Tensor& x0, const Tensor& noise) {
  check_fit(levels.size(), x0, noise);
  std::vector<Mix> inputs, targets;
  for (const NoiseLevel& level : levels) {
    const Preconditioning p = process.preconditioning(level);
    inputs.push_back({p.c_in * level.alpha(), p.c_in * level.sigma()});
    targets.push_back({p.target_x0, p.target_noise});
  }
  Tensor input(x0.shape(), DType::kFloat32, x0.device());  // [N, H, W, C]
  mix(inputs, x0, noise, input);
  return {.input = input, .t = told(levels, x0.device()), .target = target_of(targets, x0, noise)};
}

NoisedBatch noised_batch(const Process& process, const NoiseSeeds& seeds, uint64_t first,
                         const Tensor& x0) {
  const auto images = static_cast<size_t>(x0.size(0));
  const Philox random(seeds.levels);
  std::vector<NoiseLevel> levels(images, process.draw(random, first));
  std::vector<uint64_t> noise_seeds(images);
  // Without values to compute, a batch of millions must cost no time.
  for (size_t n = 0; holds_values(x0.device()) && n < images; ++n) {
    levels[n] = process.draw(random, first + n);
    noise_seeds[n] = mix_seed(seeds.noise, first + n);
  }
  Tensor noise(x0.shape(), DType::kFloat32, x0.device());  // [N, H, W, C]
  backend_for(x0.device()).run(op::Normal{.seeds = noise_seeds, .stream = 0, .x = noise});
  return noised_batch(process, levels, x0, noise);
}

}  // namespace ddpm
