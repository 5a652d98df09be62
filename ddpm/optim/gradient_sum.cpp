#include "ddpm/optim/gradient_sum.h"

#include <utility>

namespace ddpm {
namespace {

void add_to(std::vector<GradSlot>& sum, std::vector<GradSlot> more) {
  for (size_t i = 0; i < sum.size(); ++i) {
    if (more[i].defined()) sum[i].accumulate(more[i].take());
  }
}

}  // namespace

void GradientSum::add() {
  Gradients part(parameters_.size());
  for (size_t i = 0; i < part.size(); ++i) {
    if (parameters_[i].grad().defined()) part[i].accumulate(parameters_[i].slot()->take());
  }
  for (Gradients& level : levels_) {
    if (level.empty()) {
      level = std::move(part);
      return;
    }
    add_to(level, std::move(part));
    part = std::exchange(level, {});
  }
  levels_.push_back(std::move(part));
}

void GradientSum::finish() {
  Gradients sum;
  for (Gradients& level : levels_) {
    if (level.empty()) continue;
    if (!sum.empty()) add_to(level, std::move(sum));
    sum = std::exchange(level, {});
  }
  for (size_t i = 0; i < sum.size(); ++i) {
    if (sum[i].defined()) parameters_[i].slot()->accumulate(sum[i].take());
  }
}

void GradientSum::clear() {
  levels_.clear();
  for (Variable& parameter : parameters_) parameter.clear_grad();
}

}  // namespace ddpm
