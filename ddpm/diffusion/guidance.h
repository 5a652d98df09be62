// Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598): moves the output for a class
// further away from the output for no class.
#pragma once

#include "ddpm/diffusion/sample_request.h"

namespace ddpm {

struct Guidance {
  // output = none + scale (classed - none). 1 is the output for the class, 0 that for no class.
  // More than 1 exaggerates the class. The paper calls this 1 + w.
  double scale = 1;
  // How far the standard deviation of each output is brought back to that of the output for the
  // class, from 0 (not at all) to 1 (Lin et al. 2023, arXiv:2305.08891, section 3.4). Without it,
  // large scales give pictures with too much contrast.
  double rescale = 0;

  // Whether both outputs are needed.
  bool needs_both() const { return scale != 0 && scale != 1; }
};

// A denoiser that calls `both` in each step with 2N images: N with their classes, then the same N
// without. Guidance changes the network's output before the objective makes an estimate of it.
// If the outputs have twice the channels of x, the second half is a variance. It stays that of the
// class. The denoiser throws Error if `both` does not return 2N outputs.
Denoiser guided(const Denoiser& both, const Guidance& guidance);

}  // namespace ddpm
