// The rows of the table of samplers.
#pragma once

#include <cstdint>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

class SampleLoop;

// One row of the table of samplers. Help and error messages also use it.
struct SamplerKind {
  const char* name;
  const char* help;
  // The number of steps if the request does not give one. 0: all steps of the process.
  int64_t default_steps;
  Tensor (*run)(SampleLoop& loop);
  // Whether it reads SampleRequest::eta.
  bool has_eta = false;
};

}  // namespace ddpm
