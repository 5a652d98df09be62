#include "ddpm/optim/gradient_sum.h"

namespace ddpm {

std::vector<GradSlot> GradientSum::take_gradients() {
  parts_ = 0;
  std::vector<GradSlot> gradients(parameters_.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (parameters_[i].grad().defined()) gradients[i].accumulate(parameters_[i].slot()->take());
  }
  return gradients;
}

void GradientSum::add_to(Level& level, std::vector<GradSlot> more) {
  ++level.count;
  if (level.sum.empty()) {
    level.sum = std::move(more);
    return;
  }
  for (size_t i = 0; i < more.size(); ++i) {
    if (more[i].defined()) level.sum[i].accumulate(more[i].take());
  }
}

void GradientSum::add() {
  if (++parts_ < kGroup) return;
  std::vector<GradSlot> group = take_gradients();
  for (size_t k = 0;; ++k) {
    if (k == levels_.size()) levels_.emplace_back();
    add_to(levels_[k], std::move(group));
    if (levels_[k].count < kGroup) return;
    group = std::exchange(levels_[k], {}).sum;
  }
}

void GradientSum::finish() {
  std::vector<GradSlot> sum;
  if (parts_ > 0) sum = take_gradients();
  for (Level& level : levels_) {
    if (!sum.empty()) add_to(level, std::move(sum));
    sum = std::exchange(level, {}).sum;
  }
  for (size_t i = 0; i < sum.size(); ++i) {
    if (sum[i].defined()) parameters_[i].slot()->accumulate(sum[i].take());
  }
}

void GradientSum::clear() {
  parts_ = 0;
  levels_.clear();
  for (Variable& parameter : parameters_) parameter.clear_grad();
}

}  // namespace ddpm
