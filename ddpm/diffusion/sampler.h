// Makes images from noise. A sampler sees the network as a callable, and the process as steps
// between noise levels. An image depends only on the network, the request and its own seed. It does
// not depend on the other images of the batch or the number of threads, unless the network does.
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

// Throws UsageError for an eta outside [0, 1], or above 0 if the sampler has none.
void check_eta(const SamplerKind& kind, double eta);

// The number of sampling steps: the requested number, or the sampler's default, which is reduced to
// the process's number of steps. Throws UsageError if the requested number is below 1 or above the
// process's number of steps.
int64_t sampling_steps(const SamplerKind& kind, const Process& process,
                       std::optional<int64_t> asked = {});

// Returns the images [N, H, W, C]. Throws UsageError for a request that cannot work (unknown
// sampler, steps out of range, eta outside [0, 1], a shape without pixels), and Error if it was
// cancelled or the network returns another shape.
Tensor sample(const Process& process, const Denoiser& network, const SampleRequest& request);

}  // namespace ddpm
