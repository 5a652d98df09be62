// Several averages of the weights at once. They depend on the weights after each step and on the
// number of pictures seen, and on nothing else. A resumed run continues them exactly.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/autograd/variable.h"
#include "ddpm/kernels/operations/training.h"
#include "ddpm/optim/optimizer.h"

namespace ddpm {

struct AverageOptions {
  // Exponential averages: the number of pictures after which a weight counts half.
  std::vector<int64_t> halflives;
  // In the first steps, a half-life is at most this share of the pictures seen so far, so that the
  // initial weights are forgotten quickly (Karras et al. 2023, arXiv:2312.02696). 0: no such limit.
  double ramp = 0.05;
  // Power-function averages, by their relative width sigma_rel (see post_hoc.h). 0.05 and 0.10 are
  // usual: from snapshots of these two, averages of other widths are made afterwards.
  std::vector<double> widths;
};

// The weight of the old average of a half-life, after `pictures` pictures of which `batch` came
// last: 0.5^(batch / min(halflife, ramp * pictures)).
double halflife_decay(double halflife, double ramp, double pictures, double batch);
// The same of a power-function average with the exponent gamma: (1 - batch / pictures)^(gamma + 1).
double power_decay(double gamma, double pictures, double batch);

class Averages {
 public:
  // The averages of these parameters, first the half-lives and then the widths. They start as
  // copies of the parameters. Those that only another rank updates (updated_only()) have none.
  // Throws UsageError for a half-life that is not positive, a width that power_gamma() refuses, and
  // for two that are equal.
  Averages(std::vector<Variable> parameters, const AverageOptions& options);

  // Moves all averages towards the weights, which have just had a step of `batch` pictures.
  // `pictures` counts all pictures of the training so far, with this batch.
  void update(int64_t pictures, int64_t batch);

  size_t size() const { return averages_.size(); }
  // For names of tensors and files: "halflife_500000", "width_0.05".
  const std::string& name(size_t k) const { return averages_[k].name; }
  // One tensor per parameter. Writing to their elements changes the average.
  const std::vector<Tensor>& values(size_t k) const { return averages_[k].values; }
  // The relative width of a power-function average. 0 for a half-life.
  double width(size_t k) const { return averages_[k].width; }

 private:
  struct Average {
    std::string name;
    // 0 for a width. Of a half-life, the other two are 0.
    double halflife = 0;
    double width = 0;
    double gamma = 0;
    std::vector<Tensor> values;
  };
  void add(Average average);

  std::vector<Variable> parameters_;
  AverageOptions options_;
  std::vector<Average> averages_;
};

// An average of a training, for its files.
struct NamedAverage {
  // As Averages::name(), or "ema_decay" for the optimizer's own.
  std::string name;
  // As Averages::width().
  double width = 0;
  // One tensor per parameter. Shares storage with the average.
  std::vector<Tensor> values;
};

// All averages of a training. The first is the one that samples are drawn with: that of the first
// half-life, or the optimizer's own if there are no half-lives.
std::vector<NamedAverage> all_averages(const Optimizer& optimizer, const Averages& averages);

}  // namespace ddpm
