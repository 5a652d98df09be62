#include "ddpm/optim/gradient_sum.h"

namespace ddpm {
namespace {

Tensor sum_of(Tensor a, Tensor b) {
  if (!a.defined()) return b;
  if (!b.defined()) return a;
  GradSlot sum;
  sum.accumulate(std::move(a));
  sum.accumulate(std::move(b));
  return sum.take();
}

}  // namespace

void OrderedSum::add(PartialSum next) {
  if (!partial_.empty()) {
    PartialSum& last = partial_.back();
    const bool joins = last.level == next.level && last.begins_group() && next.count == 1 &&
                       last.index + last.count == next.index;
    if (joins) {
      next.sum = sum_of(std::exchange(last.sum, {}), std::move(next.sum));
      next.index = last.index;
      next.count = last.count + 1;
      partial_.pop_back();
    }
  }
  if (next.count < kGradientGroup) {
    partial_.push_back(std::move(next));
    return;
  }
  add({.level = next.level + 1,
       .index = next.index / kGradientGroup,
       .count = 1,
       .sum = std::move(next.sum)});
}

Tensor OrderedSum::total() {
  Tensor total;
  while (!partial_.empty()) {
    total = sum_of(std::exchange(partial_.back().sum, {}), std::move(total));
    partial_.pop_back();
  }
  return total;
}

std::vector<PartialSum> partial_sums(int64_t first, int64_t count) {
  OrderedSum sum;
  for (int64_t part = first; part < first + count; ++part) sum.add({.index = part});
  return sum.take();
}

void GradientSum::restart(int64_t first_part) {
  next_ = first_part;
  waiting_ = 0;
  for (OrderedSum& sum : sums_) sum.take();
  for (Variable& parameter : parameters_) parameter.clear_grad();
}

void GradientSum::move_gradient(size_t parameter, int64_t parts) {
  const Variable& variable = parameters_[parameter];
  PartialSum sum{.index = next_ - parts, .count = parts};
  if (variable.grad().defined()) sum.sum = variable.slot()->take();
  sums_[parameter].add(std::move(sum));
}

void GradientSum::add() {
  const bool waits = waiting_ > 0 || next_ % kGradientGroup == 0;
  ++next_;
  if (waits && ++waiting_ < kGradientGroup) return;
  for (size_t i = 0; i < parameters_.size(); ++i) move_gradient(i, waits ? kGradientGroup : 1);
  waiting_ = 0;
}

void GradientSum::finish() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (waiting_ > 0) move_gradient(i, waiting_);
    if (Tensor total = sums_[i].total(); total.defined())
      parameters_[i].slot()->accumulate(std::move(total));
  }
  next_ = waiting_ = 0;
}

std::vector<PartialSum> GradientSum::take_last(size_t parameter) {
  const int64_t before = std::exchange(next_, next_ + 1);
  move_gradient(parameter, waiting_ + 1);
  next_ = before;
  return sums_[parameter].take();
}

}  // namespace ddpm
