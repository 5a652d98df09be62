#include "ddpm/engine/denoiser.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/engine/finite.h"
#include "ddpm/engine/model.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

// Runs the network on at most `most` images at a time.
Tensor run(const Network& network, const NetworkInput& input, int64_t most) {
  const int64_t count = input.x.shape()[0];
  if (count <= most) return network(input).value();
  Tensor output;
  for (int64_t begin = 0; begin < count; begin += most) {
    const int64_t end = std::min(begin + most, count);
    const Tensor part = network(input.rows(begin, end)).value();
    if (!output.defined()) {
      output =
          Tensor({count, part.size(1), part.size(2), part.size(3)}, DType::kFloat32, part.device());
    }
    Tensor rows = output.rows(begin, end);
    rows.copy_from(part);
  }
  return output;
}

}  // namespace

Denoiser denoiser_for(const Network& network, const ImageInputs& inputs, int64_t most) {
  const auto denoise = [&network, inputs, most](const Tensor& x, const Tensor& t,
                                                const Tensor& estimate) {
    Tensor output = run(network,
                        {.x = Variable(x),
                         .t = t,
                         .labels = inputs.labels,
                         .condition = Variable(inputs.condition),
                         .estimate = Variable(estimate)},
                        most);
    if (const auto value = find_not_finite(output)) {
      fail("sample",
           fmt::format("the network's output holds {} at step {}; its weights are damaged, or its "
                       "training failed",
                       *value, t.values()[0]));
    }
    return output;
  };
  if (network.takes().estimate) return denoise;
  return [denoise](const Tensor& x, const Tensor& t) { return denoise(x, t, {}); };
}

Denoiser Denoisers::with(Labels labels, int64_t begin, int64_t count) const {
  return denoiser_for(
      network_, image_inputs(config_, asked_, begin, count, labels, network_.device()), most_);
}

Denoiser Denoisers::of_guide(int64_t begin, int64_t count) const {
  const Network& network = *asked_.guide->network;
  return denoiser_for(
      network,
      image_inputs(asked_.guide->config, asked_, begin, count, Labels::kOwn, network.device()),
      most_);
}

Denoiser Denoisers::of_guided(int64_t begin, int64_t count) const {
  const Guidance& guidance = asked_.guidance;
  if (asked_.guide != nullptr)
    return guided(with(Labels::kOwn, begin, count), of_guide(begin, count), guidance);
  if (!guidance.needs_both()) return with(Labels::kNone, begin, count);
  return guided(with(Labels::kBoth, begin, count), guidance);
}

Denoiser Denoisers::of(int64_t begin, int64_t count) const {
  const Guidance& guidance = asked_.guidance;
  if (guidance.scale == 1) return with(Labels::kOwn, begin, count);
  const Denoiser inside = of_guided(begin, count);
  if (guidance.everywhere()) return inside;
  return guided_where([process = process_, guidance](
                          double t) { return guidance.guides_at(process.level_told(t).ratio()); },
                      inside, with(Labels::kOwn, begin, count));
}

}  // namespace ddpm
