// Checks a request once, picks the sampler from the table and walks it. Everything per pixel is a
// backend operation with one coefficient per image; the host only computes scalars.
#include "ddpm/diffusion/sampler.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/samplers/loop.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

const std::vector<SamplerKind>& sampler_kinds() {
  static const std::vector<SamplerKind> kinds = {
      {"ddpm", "ancestral sampling with fresh noise in each step; best with all steps", 0,
       sample_ddpm},
      {"ddim", "few steps; without noise between them at eta 0", 50, sample_ddim},
  };
  return kinds;
}

std::vector<std::string> sampler_names() {
  std::vector<std::string> names;
  for (const SamplerKind& kind : sampler_kinds()) names.emplace_back(kind.name);
  return names;
}

const SamplerKind& find_sampler(std::string_view name) {
  for (const SamplerKind& kind : sampler_kinds()) {
    if (kind.name == name) return kind;
  }
  fail_usage("sample", fmt::format("there is no sampler '{}'; choose {}", name,
                                   join_choices(sampler_names())));
}

std::vector<uint64_t> image_seeds(uint64_t seed, int64_t first, int64_t count) {
  std::vector<uint64_t> seeds;
  for (int64_t k = first; k < first + count; ++k) {
    seeds.push_back(mix_seed(seed, static_cast<uint64_t>(k)));
  }
  return seeds;
}

Tensor initial_noise(const std::vector<uint64_t>& image_seeds, const Shape& image, Device device) {
  Tensor x({static_cast<int64_t>(image_seeds.size()), image[0], image[1], image[2]},
           DType::kFloat32, device);
  backend_for(device).normal(image_seeds, 0, x);
  return x;
}

Tensor SampleLoop::start() const {
  return initial_noise(request_.image_seeds, request_.image, request_.device);
}

Tensor SampleLoop::predict_x0(const Tensor& x, int64_t i) const {
  const auto images = static_cast<size_t>(x.size(0));
  const Tensor t =
      Tensor::full({x.size(0)}, static_cast<float>(schedule_.timestep(i)), request_.device);
  const Tensor noise = denoiser_(x, t);  // [N, H, W, C]
  if (!noise.defined() || noise.shape() != x.shape()) {
    fail("sample", fmt::format("the network returned {} for images {}; it must return their shape",
                               noise.shape().str(), x.shape().str()));
  }
  const double alpha_bar = schedule_.alpha_bar(i);
  const std::vector<float> from_x(images, static_cast<float>(1 / std::sqrt(alpha_bar)));
  const std::vector<float> from_noise(images,
                                      static_cast<float>(-std::sqrt((1 - alpha_bar) / alpha_bar)));
  Backend& backend = backend_for(request_.device);
  Tensor x0(x.shape(), DType::kFloat32, request_.device);
  backend.combine({&x, &noise}, {from_x, from_noise}, x0);
  if (request_.clip) backend.clamp(-1, 1, x0);
  return x0;
}

void SampleLoop::advance(int64_t i, const Update& update, const Tensor& x0, Tensor& x) const {
  const auto images = static_cast<size_t>(x.size(0));
  std::vector<const Tensor*> inputs = {&x0, &x};
  std::vector<std::vector<float>> coefficients = {
      std::vector<float>(images, static_cast<float>(update.from_x0)),
      std::vector<float>(images, static_cast<float>(update.from_x))};
  Backend& backend = backend_for(request_.device);
  Tensor z;  // [N, H, W, C]
  if (update.from_noise != 0) {
    z = Tensor(x.shape(), DType::kFloat32, request_.device);
    backend.normal(request_.image_seeds, 1 + static_cast<uint64_t>(schedule_.timestep(i)), z);
    inputs.push_back(&z);
    coefficients.emplace_back(images, static_cast<float>(update.from_noise));
  }
  backend.combine(inputs, coefficients, x);

  const int64_t done = schedule_.steps() - i;
  if (request_.progress && !request_.progress({done, schedule_.steps(), &x, &x0})) {
    fail("sample", fmt::format("cancelled after step {} of {}", done, schedule_.steps()));
  }
}

Tensor sample(const Schedule& schedule, const Denoiser& denoiser, const SampleRequest& request) {
  const SamplerKind& kind = find_sampler(request.sampler);
  if (!(request.eta >= 0 && request.eta <= 1)) {
    fail_usage("sample", fmt::format("eta is {}; it lies between 0 and 1", request.eta));
  }
  if (request.image.rank() != 3 || request.image.elements() < 1) {
    fail_usage("sample", fmt::format("an image of shape {}; [height, width, channels] is needed, "
                                     "each at least 1",
                                     request.image.str()));
  }
  if (request.image_seeds.empty()) fail_usage("sample", "no images; at least 1 seed is needed");
  const int64_t all = schedule.steps();
  const int64_t steps =
      request.steps.value_or(kind.default_steps == 0 ? all : std::min(kind.default_steps, all));
  if (steps < 1 || steps > all) {
    fail_usage("sample", fmt::format("{} steps; this model was trained with {}, choose 1 to {}",
                                     steps, all, all));
  }
  SampleLoop loop(schedule.respaced(steps), denoiser, request);
  return kind.run(loop);
}

}  // namespace ddpm
