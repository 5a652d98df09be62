// The power-function averages that a run keeps, and averages of other widths that are made of them
// after the training (optim/post_hoc.h). They are model files, one for each width and step:
// RUN/averages/width_0.05/step-00001000.safetensors.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ddpm/engine/model.h"
#include "ddpm/optim/post_hoc.h"

namespace ddpm {

// "0.05,0.1": widths, none twice. "none": no widths. "auto": 0.05 and 0.1, those of Karras et al.
// (2023, arXiv:2312.02696). Throws UsageError for another text, and for a width that no average can
// have (power_gamma()).
std::vector<double> parse_widths(const std::string& text);

// RUN/averages/NAME.safetensors: of an average that is not of a width.
std::string average_path(const std::string& run, const std::string& name);
// RUN/averages/NAME/step-00001000.safetensors
std::string power_average_path(const std::string& run, const std::string& name, int64_t step);
// RUN/averages/NAME
std::string power_average_folder(const std::string& run, const std::string& name);
// The folders of a run that hold such averages, in the order of their names.
std::vector<std::string> power_average_folders(const std::string& run);

// What the metadata of a kept average says. Its width, and the number of pictures that were seen
// when it was kept, without those of skipped steps.
struct KeptAverage {
  double width = 0;
  int64_t pictures = 0;

  std::map<std::string, std::string> metadata() const;
};

// The metadata of an average that was made of others.
std::map<std::string, std::string> width_metadata(double width);

class KeptAverages {
 public:
  // The largest error() of an average that is made.
  static constexpr double kMostError = 0.2;

  // The averages that a run kept at a step and before it; step 0 is the newest. Throws UsageError
  // if there are none, and for a step at which none was kept, naming the nearest; Error if the run
  // does not exist, or a file is damaged or belongs to another run.
  explicit KeptAverages(const std::string& run, int64_t step = 0);

  // The step of the averages that are made.
  int64_t step() const { return step_; }
  // How many averages are kept up to that step.
  int64_t count() const { return static_cast<int64_t>(files_.size()); }
  const ModelConfig& config() const { return config_; }
  // The id of the run.
  const std::string& run() const { return run_; }

  // How far the best combination of the kept averages is from that of a width (post_hoc_error()).
  // Throws UsageError for a width that no average can have.
  double error(double width) const;
  // The average of a width, summed in double and rounded to float32. Throws UsageError if its error
  // is larger than kMostError, saying which widths can be made.
  Model make(double width, Device device = Device::kCpu) const;

 private:
  std::vector<double> coefficients(const PowerProfile& wanted) const;
  PowerProfile wanted(double width) const;
  [[noreturn]] void refuse(double width) const;

  int64_t step_ = 0;
  std::string folder_, run_;
  ModelConfig config_;
  std::vector<std::string> files_;
  std::vector<PowerProfile> profiles_;
};

}  // namespace ddpm
