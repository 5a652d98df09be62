// From noise to images. A sampler sees the network as a callable and the process as steps between
// levels of noise. An image is a function of the network, the request and its own seed, whatever
// stands beside it in the batch and however many threads compute it, as far as the network keeps to
// that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sample_request.h"
#include "ddpm/diffusion/sampler_kind.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The table of samplers.
const std::vector<SamplerKind>& sampler_kinds();
std::vector<std::string> sampler_names();
// Throws UsageError naming the choices.
const SamplerKind& find_sampler(std::string_view name);

// How many steps sampling takes: those asked for, or the sampler's default, at most those of the
// process. Throws UsageError where more or fewer than 1 are asked for.
int64_t sampling_steps(const SamplerKind& kind, const Process& process,
                       std::optional<int64_t> asked = {});

// The images [N, H, W, C]. Throws UsageError for a request that cannot work (unknown sampler, steps
// out of range, eta outside [0, 1], a shape without pixels), Error when cancelled or when the
// network returns another shape.
Tensor sample(const Process& process, const Denoiser& network, const SampleRequest& request);

}  // namespace ddpm
