// Makes images from noise. A sampler sees the network as a callable, and the process as steps
// between noise levels. An image depends only on the network, the request and its own seed. It does
// not depend on the other images of the batch or the number of threads, unless the network does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sample_request.h"
#include "ddpm/diffusion/sampler_kind.h"
#include "ddpm/diffusion/sampler_options.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The table of samplers.
const std::vector<SamplerKind>& sampler_kinds();
std::vector<std::string> sampler_names();
// Throws UsageError naming the choices.
const SamplerKind& find_sampler(std::string_view name);

// The number of evaluations of the network that the request makes: the requested number, which
// samplers with two evaluations in each step round down to an odd number, or the sampler's default,
// at most the process's number of time steps. Throws UsageError for a number that the sampler
// cannot make.
int64_t sampling_evaluations(const SamplerOptions& options, const Process& process);
// The levels at which the sampler begins its steps, from the most noise to the least. Throws
// UsageError for a spacing or a number of evaluations that does not fit the process. tuned: the
// numbers t of the levels for the spacing "tuned".
std::vector<NoiseLevel> sampling_levels(const SamplerOptions& options, const Process& process,
                                        const std::vector<double>& tuned = {});

// Returns the images [N, H, W, C]. Throws UsageError for a request that cannot work (as
// SamplerOptions::check() and sampling_levels(), a shape without pixels, too little noise), and
// Error if it was cancelled or the network returns another shape.
Tensor sample(const Process& process, const Denoiser& network, const SampleRequest& request);

}  // namespace ddpm
