// Our convolutions, by the algorithm that conv_select.cpp takes, against the best of oneDNN's
// forms.
#pragma once

#include <vector>

#include "ddpm/kernels/cpu/conv/conv.h"

namespace ddpm::bench {

// For each shape and pass a row: our milliseconds, those of oneDNN's fastest form, which that was,
// and theirs divided by ours; then the lowest ratio and the geometric mean of each pass. Answers
// are compared first; returns the number of those that differ.
struct VersusOnednn {
  double seconds = 0.2;          // per pass and candidate
  bool reorder_weights = false;  // count what it takes oneDNN to bring weights into its layout
  bool cpu_time = false;         // the calling thread's, for one thread on a busy machine
};
int versus_onednn(const std::vector<cpu::ConvShape>& shapes, const VersusOnednn& options);

}  // namespace ddpm::bench
