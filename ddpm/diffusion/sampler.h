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

// The request with a value in place of each "auto" and each default: the sampler, the number of
// evaluations of the network, the order, eta and the spacing. Samplers that evaluate the network
// twice in each step make an odd number of evaluations, or an even one if they start from noise
// alone (zero terminal SNR), where the second would be wasted. Throws UsageError as
// SamplerOptions::check(), and for what the process cannot do.
SamplerOptions completed(const SamplerOptions& options, const Process& process,
                         const TunedLevels& tuned = {});
// The levels at which the sampler begins its steps, from the most noise to the least. Throws
// UsageError as completed() and spaced_levels().
std::vector<NoiseLevel> sampling_levels(const SamplerOptions& options, const Process& process,
                                        const TunedLevels& tuned = {});

// The spacings, other than "tuned", that have as many levels as the sampler needs for this request.
// Throws UsageError as completed().
std::vector<std::string> fitting_spacings(const SamplerOptions& options, const Process& process);

// Throws UsageError if recorded noise has fewer draws than the request needs: one for the start,
// and one for each step that adds noise. draws: how many there are, SampleRequest::noise.
void check_draws(const SamplerOptions& options, const Process& process, const TunedLevels& tuned,
                 int64_t draws);

// Returns the images [N, H, W, C]. Throws UsageError for a request that cannot work (as
// SamplerOptions::check() and sampling_levels(), a shape without pixels, too little noise), and
// Error if it was cancelled or the network returns another shape.
Tensor sample(const Process& process, const Denoiser& network, const SampleRequest& request);

}  // namespace ddpm
