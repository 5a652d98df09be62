// Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598): away from what the network makes
// of no class, towards what it makes of the class.
#pragma once

#include "ddpm/diffusion/sample_request.h"

namespace ddpm {

struct Guidance {
  // output = none + scale (classed - none): 1 is the class alone, 0 no class, and more than 1
  // exaggerates the class. It is 1 + w in the paper.
  double scale = 1;
  // How far the deviation of each output is brought back to that of the class alone, from 0 (not at
  // all) to 1 (Lin et al. 2023, arXiv:2305.08891, section 3.4). Large scales make pictures garish
  // without it.
  double rescale = 0;

  // Whether the network has to be asked for both.
  bool needs_both() const { return scale != 0 && scale != 1; }
};

// A denoiser that asks `both` once a step for 2N images: N with their classes, then the same N with
// none. It guides the network's output as it is, before the objective makes an estimate of it.
Denoiser guided(Denoiser both, const Guidance& guidance);

}  // namespace ddpm
