// oneDNN's convolutions (Debian: libdnnl-dev), each pass in each form that it offers, as opponents.
// Where the library is absent at build time, have_onednn() is false and there are no candidates.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/conv_problem.h"
#include "ddpm/kernels/cpu/ops/conv_select.h"

namespace ddpm::bench {

using cpu::ConvPass;

struct OnednnCandidate {
  std::string form;            // "nhwc", "any" or "winograd"
  std::string implementation;  // as oneDNN names it, such as "jit:avx2"
  std::function<void()> run;
  // Writes what the last run left into y, into dx, or into dw and dbias, in our layouts.
  std::function<void(Tensor* out, Tensor* dbias)> result;
};

bool have_onednn();
std::string onednn_version();

// Restarts this program once with the settings of the OpenMP run-time below oneDNN, which reads
// them before main(): as many threads, and spinning of about a tenth of a millisecond, so that its
// threads are awake from one call to the next and asleep when another library's turn comes. To be
// called first in main(); does nothing where oneDNN is absent.
void restart_for_onednn(int threads, char** argv);

// The forms that exist for this problem on this machine. They read problem.x, w, bias and dy when
// made or run, and write to memory of their own. The forms differ in layouts: "nhwc" has
// activations in our layout and weights in its choice, "any" has everything in its choice,
// "winograd" likewise with that algorithm. Bringing data into its layouts is not part of run(), but
// with reorder_weights that of the weights from OIHW, or of their gradient to it, is.
std::vector<OnednnCandidate> onednn_candidates(const ConvProblem& problem, ConvPass pass,
                                               bool reorder_weights);

}  // namespace ddpm::bench
