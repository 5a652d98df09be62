// Guidance moves the output of a network further away from a worse one. Classifier-free guidance
// (Ho & Salimans 2022, arXiv:2207.12598) takes the output for no class as the worse one,
// autoguidance (Karras et al. 2024, arXiv:2406.02507) that of a worse model.
#pragma once

#include <functional>
#include <limits>
#include <string>

#include "ddpm/diffusion/sample_request.h"

namespace ddpm {

struct Guidance {
  // output = worse + scale (better - worse). 1 is the better output, 0 the worse one. More than 1
  // exaggerates the difference. The first paper calls this 1 + w.
  double scale = 1;
  // How far the standard deviation of each output is brought back to that of the better output,
  // from 0 (not at all) to 1 (Lin et al. 2023, arXiv:2305.08891, section 3.4). Without it, large
  // scales give pictures with too much contrast.
  double rescale = 0;
  // Only levels with low <= sigma / alpha <= high are guided (Kynkaanniemi et al. 2024,
  // arXiv:2404.07724). At all others the better output is used alone.
  double low = 0;
  double high = std::numeric_limits<double>::infinity();

  // Whether both outputs are needed where it guides.
  bool needs_both() const { return scale != 0 && scale != 1; }
  // Whether it guides at every level.
  bool everywhere() const { return low == 0 && high == std::numeric_limits<double>::infinity(); }
  // Whether it guides at a level with this sigma / alpha. The bounds count as inside, also where
  // the ratio was rounded on its way through a float.
  bool guides_at(double ratio) const;
};

// Sets low and high from "LO,HI", where HI may be inf; both stay as they are for an empty text.
// Throws UsageError unless 0 <= LO < HI.
void read_guidance_interval(const std::string& text, Guidance& guidance);

// A denoiser that calls `both` in each step with 2N images: N with their classes, then the same N
// without. Guidance changes the network's output before the objective makes an estimate of it.
// If the outputs have twice the channels of x, the second half is a variance. It stays that of the
// class. The denoiser throws Error if `both` does not return 2N outputs.
Denoiser guided(const Denoiser& both, const Guidance& guidance);

// The same for two denoisers, each called with the N images. If either takes an estimate of the
// images, the result does too. A variance is that of `better`; one in the output of `worse` is left
// out. Throws Error if the outputs do not fit together.
Denoiser guided(const Denoiser& better, const Denoiser& worse, const Guidance& guidance);

// A denoiser that calls `inside` where guides(t) is true for the number t of the first image's
// level, and `outside` elsewhere. All images of a call must be at the same level.
Denoiser guided_where(std::function<bool(double t)> guides, const Denoiser& inside,
                      const Denoiser& outside);

}  // namespace ddpm
