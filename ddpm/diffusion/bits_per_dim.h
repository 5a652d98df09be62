// The variational bound of the likelihood of pictures (Ho et al. 2020, arXiv:2006.11239, equations
// 5 and 6), in bits for each value of a picture: what a code made from the model would need.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sample_request.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct BitsOptions {
  // The steps that are evaluated for each picture besides the last one, which always is. All steps
  // are divided into so many parts with likely equal sums, and a random step stands for each part,
  // so that the expectation is that of all steps. 0: all steps.
  int64_t steps = 0;
  uint64_t seed = 0;
  // The number of the first picture. The noise of a picture depends on the seed and its number.
  int64_t first = 0;
};

// Throws UsageError if the bound does not exist: the objective has no time steps of a schedule, or
// the noise is not independent for each value (offset noise).
void check_has_bound(const ProcessConfig& config);

// x0: float32 [N, H, W, C], values k / 127.5 - 1 for bytes k. Returns the bits of each picture, in
// the mean over its values. The sum of three parts:
//  - the divergence of the noisiest level from standard normal noise, in closed form;
//  - that of each step of sampling from the posterior q(x_to | x_from, x0), where the estimate of
//    the image is clipped to [-1, 1], and the variance is the learned one or else the posterior's;
//  - the likelihood of the bytes under the last step: the mass of the normal distribution in a bin
//    of width 2 / 255, where the first and the last bin reach to infinity. Without a learned
//    variance it has the posterior variance of the step before (Nichol & Dhariwal 2021).
// Unless all steps are evaluated, the denoiser gets t [N] with another time step for each picture.
// Throws Error if the denoiser's output has a wrong shape.
std::vector<double> bits_per_dim(const Process& process, const Denoiser& denoiser, const Tensor& x0,
                                 const BitsOptions& options);

}  // namespace ddpm
