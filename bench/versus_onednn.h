// Compares our convolutions, by the algorithm that conv_select.cpp chooses, with the fastest form
// of oneDNN.
#pragma once

#include <vector>

#include "ddpm/kernels/cpu/conv/conv.h"

namespace ddpm::bench {

// Prints a row for each shape and pass: our milliseconds, those of oneDNN's fastest form, its name,
// and the ratio of theirs to ours; at the end the lowest ratio and the geometric mean of each pass.
// The answers are compared before. Returns how many of them differ.
struct VersusOnednn {
  // Per pass and candidate.
  double seconds = 0.2;
  // Include the time in which oneDNN converts the weights to its layout.
  bool reorder_weights = false;
  // Processor time of the calling thread, for one thread on a busy machine.
  bool cpu_time = false;
};
int versus_onednn(const std::vector<cpu::ConvShape>& shapes, const VersusOnednn& options);

}  // namespace ddpm::bench
