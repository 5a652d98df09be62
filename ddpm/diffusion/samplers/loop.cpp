// Every computation on pixels is a backend operation with one coefficient per image. The host
// computes only scalars.
#include "ddpm/diffusion/samplers/loop.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

Tensor SampleLoop::start() const {
  Tensor x = initial_noise(request_.image_seeds, request_.image, request_.device);
  const double scale = process_.start_scale(steps_.front().from);
  if (scale != 1) sum({{&x, scale}}, x);
  return x;
}

void SampleLoop::sum(const std::vector<Term>& terms, Tensor& out) const {
  constexpr size_t kAtOnce = 3;
  const auto images = static_cast<size_t>(out.size(0));
  std::vector<const Tensor*> inputs;
  std::vector<std::vector<float>> factors;
  for (size_t i = 0; i < terms.size(); ++i) {
    inputs.push_back(terms[i].tensor);
    factors.emplace_back(images, static_cast<float>(terms[i].factor));
    if (inputs.size() < kAtOnce && i + 1 < terms.size()) continue;
    backend_for(request_.device)
        .run(op::Combine{.inputs = inputs, .coefficients = factors, .y = out});
    inputs = {&out};
    factors = {std::vector<float>(images, 1.0f)};
  }
}

Tensor SampleLoop::predict_x0(const Tensor& x, const NoiseLevel& level) const {
  const Preconditioning p = process_.preconditioning(level);
  Tensor scaled = x;  // [N, H, W, C]
  if (p.c_in != 1) {
    scaled = Tensor(x.shape(), DType::kFloat32, request_.device);
    sum({{&x, p.c_in}}, scaled);
  }
  const Tensor t = Tensor::full({x.size(0)}, static_cast<float>(level.t), request_.device);
  const Tensor output = network_(scaled, t);  // [N, H, W, C]
  if (!output.defined() || output.shape() != x.shape()) {
    fail("sample", fmt::format("the network returned {} for images {}; it must return their shape",
                               output.shape().str(), x.shape().str()));
  }
  std::vector<Term> terms = {{&output, p.c_out}};
  if (p.c_skip != 0) terms.insert(terms.begin(), {&x, p.c_skip});
  Tensor x0(x.shape(), DType::kFloat32, request_.device);
  sum(terms, x0);
  if (request_.clip) backend_for(request_.device).run(op::Clamp{.low = -1, .high = 1, .x = x0});
  return x0;
}

Tensor SampleLoop::predict_noise(const Tensor& x, const Tensor& x0, const NoiseLevel& level) const {
  Tensor noise(x.shape(), DType::kFloat32, request_.device);  // [N, H, W, C]
  sum({{&x, 1 / level.sigma()}, {&x0, -level.alpha() / level.sigma()}}, noise);
  return noise;
}

void SampleLoop::advance(const NoiseStep& step, std::vector<Term> terms, double from_noise,
                         const Tensor& x0, Tensor& x) {
  Tensor noise;  // [N, H, W, C]
  if (from_noise != 0) {
    noise = Tensor(x.shape(), DType::kFloat32, request_.device);
    backend_for(request_.device)
        .run(op::Normal{.seeds = request_.image_seeds, .stream = step.stream, .x = noise});
    terms.push_back({&noise, from_noise});
  }
  sum(terms, x);
  ++done_;
  const auto steps = static_cast<int64_t>(steps_.size());
  if (request_.progress && !request_.progress({done_, steps, &x, &x0})) {
    fail("sample", fmt::format("cancelled after step {} of {}", done_, steps));
  }
}

}  // namespace ddpm
