// The forward process that a network is trained on, and how it is trained. It is stored in the
// model's file.
#pragma once

#include <cstdint>
#include <string>

namespace ddpm {

class Fields;

struct ProcessConfig {
  std::string schedule = "linear";
  int64_t timesteps = 1000;
  std::string objective = "eps";
  bool zero_snr = false;
  bool learned_variance = false;
  std::string weighting = "none";
  double min_snr_gamma = 5;
  double sigmoid_bias = 2;
  std::string time_sampling = "auto";
  bool low_discrepancy = false;
  std::string pairing = "none";
  double offset_noise = 0;
  double input_perturbation = 0;

  void fields(Fields& field);
  // Throws UsageError for values that do not fit together, naming what would fit.
  void check() const;
};

}  // namespace ddpm
