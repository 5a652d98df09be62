// A small model. For the tests of model files.
#pragma once

#include "ddpm/engine/model_config.h"
#include "ddpm/nn/tutorial/unet.h"

namespace ddpm::test {

inline ModelConfig small_config(int64_t timesteps) {
  return {
      .network = tutorial::UnetConfig{.dim = 8, .dim_mults = {1, 2}, .channels = 1, .groups = 2},
      .height = 6,
      .width = 4,
      .process = {.schedule = "cosine", .timesteps = timesteps}};
}

}  // namespace ddpm::test
