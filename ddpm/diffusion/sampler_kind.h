// What the table of samplers knows about each of them.
#pragma once

#include <cstdint>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

class SampleLoop;

// One row of the table of samplers, which also feeds help and error messages.
struct SamplerKind {
  const char* name;
  const char* help;
  // Where the request names no number of steps; 0: all steps of the process.
  int64_t default_steps;
  Tensor (*run)(SampleLoop& loop);
};

}  // namespace ddpm
