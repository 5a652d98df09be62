// All figures that compare two sets of features, and what a reader must know about them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// A figure without a value could not be computed; `warnings` says why.
struct QualityFigures {
  // The vectors of generated and of real pictures.
  int64_t n = 0;
  int64_t n_real = 0;
  std::optional<double> frechet;
  std::optional<double> kernel, kernel_se;
  // Of n_manifold vectors of each set, chosen at random: these figures depend on the numbers, and
  // equal numbers are usual.
  std::optional<double> precision, recall, density, coverage;
  int64_t n_manifold = 0;
  // One sentence each.
  std::vector<std::string> warnings;
};

struct QualityOptions {
  // Leave the Frechet distance out if a set has no more vectors than features. Otherwise there is a
  // warning.
  bool frechet_of_few = true;
  // The most vectors of each set in precision, recall, density and coverage.
  int64_t most_manifold = 10'000;
};

// real: float32 [N, D], generated: float32 [M, D]. Random choices do not depend on the values, so
// the same features give the same figures. Throws Error if the widths differ or a value is not
// finite.
QualityFigures quality_figures(const Tensor& real, const Tensor& generated,
                               const QualityOptions& options = {});

}  // namespace ddpm
