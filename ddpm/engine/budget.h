// OptimizerOptions::budget: how a training ends by the clock and not after a number of steps.
#pragma once

#include <optional>
#include <string>

namespace ddpm {

struct Budget {
  // The wall time of the training, over all its sessions. Nothing if it repeats another one.
  std::optional<double> seconds;
  // The clock.jsonl of the training that it repeats.
  std::string repeated;
};

// Reads "10m" and "repeat:FILE". Nothing for "none" and "", with which a training ends after its
// steps. Throws UsageError for other texts.
std::optional<Budget> parse_budget(const std::string& text);

// A run ends by the clock from its start or never, because it must know the time of all its steps.
// Throws UsageError if a run that was started with the budget `before` cannot go on with `now`.
void check_same_end(const std::string& before, const std::string& now);

}  // namespace ddpm
