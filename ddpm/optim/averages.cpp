#include "ddpm/optim/averages.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/kernels/backend.h"
#include "ddpm/optim/post_hoc.h"

namespace ddpm {

double halflife_decay(double halflife, double ramp, double pictures, double batch) {
  const double now = ramp > 0 ? std::min(halflife, ramp * pictures) : halflife;
  return std::exp2(-batch / now);
}

double power_decay(double gamma, double pictures, double batch) {
  return std::pow(std::max(0.0, 1 - batch / pictures), gamma + 1);
}

Averages::Averages(std::vector<Variable> parameters, const AverageOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const int64_t halflife : options.halflives) {
    if (halflife < 1) {
      fail_usage("average", fmt::format("a half-life of {} pictures; it must be at least 1, and "
                                        "500000 is usual",
                                        halflife));
    }
    add(fmt::format("halflife_{}", halflife), static_cast<double>(halflife), 0);
  }
  for (const double width : options.widths)
    add(fmt::format("width_{}", width), 0, power_gamma(width));
}

void Averages::add(std::string name, double halflife, double gamma) {
  Average& average = averages_.emplace_back(std::move(name), halflife, gamma);
  for (const Variable& parameter : parameters_) average.values.push_back(parameter.value().clone());
}

void Averages::update(int64_t pictures, int64_t batch) {
  if (parameters_.empty()) return;
  const auto seen = static_cast<double>(pictures), last = static_cast<double>(batch);
  for (Average& average : averages_) {
    std::vector<AveragedTensor> tensors;
    for (size_t i = 0; i < parameters_.size(); ++i)
      tensors.push_back({parameters_[i].value(), average.values[i]});
    const double decay = average.halflife > 0
                             ? halflife_decay(average.halflife, options_.ramp, seen, last)
                             : power_decay(average.gamma, seen, last);
    backend_for(tensors.front().value.device())
        .run(op::MoveAverages{.decay = decay, .tensors = tensors});
  }
}

}  // namespace ddpm
