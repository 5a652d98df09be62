// The convolutions of oneDNN (Debian: libdnnl-dev), to compare ours with: each pass, in each form
// that it offers. Where the library is missing at build time, have_onednn() is false and there are
// no candidates.
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
  // Writes the result of the last run to y, to dx, or to dw and dbias, in our layouts.
  std::function<void(Tensor* out, Tensor* dbias)> result;
};

bool have_onednn();
std::string onednn_version();

// Restarts this program once with other settings of the OpenMP run-time that oneDNN uses, because
// it reads them before main(): the number of threads, and spinning for about a tenth of a
// millisecond. Its threads are then awake from one call to the next, and asleep when another
// library is measured. To be called first in main(). Does nothing where oneDNN is missing.
void restart_for_onednn(int threads, char** argv);

// The forms that exist for this problem on this machine. They read problem.x, w, bias and dy when
// they are made or run, and write to memory of their own. The forms differ in layouts: with "nhwc",
// activations are in our layout and oneDNN chooses that of the weights; with "any" it chooses all;
// "winograd" is the same with that algorithm. run() does not include the conversion of data to
// these layouts, except with reorder_weights: then it includes the conversion of weights from OIHW,
// or of their gradient to OIHW.
std::vector<OnednnCandidate> onednn_candidates(const ConvProblem& problem, ConvPass pass,
                                               bool reorder_weights);

}  // namespace ddpm::bench
