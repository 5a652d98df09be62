#include "ddpm/optim/averages.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/kernels/backend.h"
#include "ddpm/optim/post_hoc.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {

double halflife_decay(double halflife, double ramp, double pictures, double batch) {
  const double now = ramp > 0 ? std::min(halflife, ramp * pictures) : halflife;
  return std::exp2(-batch / now);
}

double power_decay(double gamma, double pictures, double batch) {
  return std::pow(std::max(0.0, 1 - batch / pictures), gamma + 1);
}

namespace {

// That of the parameters with values, if there are some.
Device updated_device(const std::vector<Variable>& parameters) {
  for (const Variable& parameter : parameters)
    if (parameter.value().memory().holds_values()) return parameter.value().device();
  return parameters.front().value().device();
}

}  // namespace

Averages::Averages(std::vector<Variable> parameters, const AverageOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const int64_t halflife : options.halflives) {
    if (halflife < 1) {
      fail_usage("average", fmt::format("a half-life of {} pictures; it must be at least 1, and "
                                        "500000 is usual",
                                        halflife));
    }
    add({.name = fmt::format("halflife_{}", halflife), .halflife = static_cast<double>(halflife)});
  }
  for (const double width : options.widths)
    add({.name = fmt::format("width_{}", width), .width = width, .gamma = power_gamma(width)});
}

void Averages::add(Average average) {
  for (const Average& other : averages_) {
    if (other.name != average.name) continue;
    fail_usage("average", average.width > 0
                              ? fmt::format("the width {} is given twice", average.width)
                              : fmt::format("the half-life {} is given twice", average.halflife));
  }
  for (const Variable& parameter : parameters_) average.values.push_back(parameter.value().clone());
  averages_.push_back(std::move(average));
}

void Averages::update(int64_t pictures, int64_t batch) {
  if (parameters_.empty()) return;
  const Device device = updated_device(parameters_);
  const auto seen = static_cast<double>(pictures), last = static_cast<double>(batch);
  for (Average& average : averages_) {
    std::vector<AveragedTensor> tensors;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      if (parameters_[i].value().device() == device)
        tensors.push_back({parameters_[i].value(), average.values[i]});
    }
    const double decay = average.halflife > 0
                             ? halflife_decay(average.halflife, options_.ramp, seen, last)
                             : power_decay(average.gamma, seen, last);
    backend_for(device).run(op::MoveAverages{.decay = decay, .tensors = tensors});
  }
}

std::vector<NamedAverage> all_averages(const Optimizer& optimizer, const Averages& averages) {
  std::vector<NamedAverage> all = {{.name = "ema_decay", .values = optimizer.ema()}};
  for (size_t k = 0; k < averages.size(); ++k)
    all.push_back({averages.name(k), averages.width(k), averages.values(k)});
  // Half-lives come before widths.
  if (all.size() > 1 && all[1].width == 0) std::swap(all[0], all[1]);
  return all;
}

}  // namespace ddpm
