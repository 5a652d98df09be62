// How images are sampled: which sampler, in how many evaluations of the network, at which levels.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace ddpm {

class Fields;

// Noise that is added to x before an evaluation, and removed by it (Karras et al. 2022,
// arXiv:2206.00364, algorithm 2). Where lowest <= sigma / alpha <= highest, sigma grows by the
// factor 1 + min(amount / steps, sqrt(2) - 1). The new noise has the standard deviation `noise`.
struct Churn {
  double amount = 0;
  double lowest = 0;
  double highest = std::numeric_limits<double>::infinity();
  double noise = 1;
};
// Reads "S" or "S,MIN,MAX,NOISE". S and MIN are 0 to a million, MAX is MIN to a million or inf, and
// NOISE is 0 to 10. Empty: none. Throws UsageError for text of another form and for other numbers.
Churn parse_churn(const std::string& text);

// Levels of noise at which few evaluations of one network come close to many; see engine/tuner.h.
struct TunedLevels {
  // The sampler and the order that they are for.
  std::string sampler;
  int64_t order = 0;
  // The number t that the network gets at each level, from the most noise to the least. Empty:
  // there are no tuned levels.
  std::vector<double> times;
};

struct SamplerOptions {
  // "auto": the one that the model is tuned for, or else kDefaultSampler of sampler_kind.h.
  std::string sampler = "auto";
  // Evaluations of the network. A second evaluation for guidance is not counted. 0: the sampler's
  // own number.
  int64_t steps = 0;
  // Of a sampler with a choice of orders. 0: the sampler's own.
  int64_t order = 0;
  // Noise that is added between the levels, from 0 (none) to 1. -1: the sampler's own.
  double eta = -1;
  // See parse_churn().
  std::string churn = {};
  // The levels at which the network is evaluated; see spacing.h. "auto": the tuned ones for the
  // sampler "auto", if they have this number of evaluations, or else the sampler's own.
  std::string spacing = "auto";
  // What happens to estimates of the image outside [-1, 1]: "static" clips them, "dynamic" scales
  // each image into the range (Saharia et al. 2022, arXiv:2205.11487, section 2.3), "none" keeps
  // them.
  std::string clip = "static";

  void fields(Fields& field);
  // Throws UsageError for values that no process can have: an unknown name, an order, an eta or a
  // churn that the sampler does not have, ...
  void check() const;
};

}  // namespace ddpm
