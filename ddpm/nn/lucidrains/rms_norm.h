// The normalisation of this family.
#pragma once

#include "ddpm/nn/layers.h"

namespace ddpm::lucidrains {

// Normalises the channels of each position and multiplies them by "g" [1, channels, 1, 1], which
// has the shape that PyTorch stores.
class RmsNorm : public Module {
 public:
  RmsNorm(int64_t channels, Device device)
      : g_{.variable = Variable::leaf(Tensor::full({1, channels, 1, 1}, 1, device))} {
    add("g", g_);
  }
  // Adds residual, of x's shape, if given.
  Variable operator()(const Variable& x, const Variable* residual = nullptr) const {
    return rms_norm(x, g_.variable, nullptr, {}, residual);
  }
  // Normalisation, FiLM if film [N, 2 channels] is given, SiLU and residual as one operation.
  Variable film_silu(const Variable& x, const Variable* film,
                     const Variable* residual = nullptr) const {
    return rms_norm(x, g_.variable, film, {.silu = true}, residual);
  }

 private:
  Parameter g_;
};

}  // namespace ddpm::lucidrains
