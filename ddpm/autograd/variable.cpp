#include "ddpm/autograd/variable.h"

#include <fmt/core.h>

#include "ddpm/autograd/inference.h"
#include "ddpm/base/error.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {
namespace {

thread_local Tape* current_tape = nullptr;
thread_local bool paused = false;

}  // namespace

void GradSlot::accumulate(Tensor contribution) {
  if (!grad_.defined()) {
    grad_ = std::move(contribution);
    return;
  }
  Backend& backend = backend_for(grad_.device());
  if (grad_.unique()) {
    backend.run(op::Add{.a = grad_, .b = contribution, .y = grad_});
  } else if (contribution.unique()) {
    backend.run(op::Add{.a = grad_, .b = contribution, .y = contribution});
    grad_ = std::move(contribution);
  } else {
    Tensor sum(grad_.shape(), grad_.dtype(), grad_.device());
    backend.run(op::Add{.a = grad_, .b = contribution, .y = sum});
    grad_ = std::move(sum);
  }
}

Variable Variable::leaf(Tensor value) {
  Variable variable(std::move(value));
  variable.slot_ = std::make_shared<GradSlot>();
  return variable;
}

Tape::Recording::Recording(Tape& tape) : previous_(std::exchange(current_tape, &tape)) {}

Tape::Recording::~Recording() { current_tape = previous_; }

Tape::Pause::Pause() : previous_(std::exchange(paused, true)) {}

Tape::Pause::~Pause() { paused = previous_; }

bool Tape::training() { return current_tape != nullptr && !Inference::active(); }

bool Tape::recording(std::initializer_list<const Variable*> inputs) {
  if (!training() || paused) return false;
  for (const Variable* input : inputs) {
    if (input != nullptr && input->requires_grad()) return true;
  }
  return false;
}

Variable Tape::record(Tensor value, std::function<void(Tensor)> backward) {
  Variable output = Variable::leaf(std::move(value));
  current_tape->closures_.push_back([slot = output.slot(), backward = std::move(backward)] {
    if (slot->defined()) backward(slot->take());
  });
  return output;
}

void Tape::backward(const Variable& output, Tensor output_grad) {
  if (!output.requires_grad())
    fail("backward", "the output was not recorded on a tape, so it has no gradient");
  if (output_grad.shape() != output.shape()) {
    fail("backward", fmt::format("a gradient of shape {} does not fit the output's {}",
                                 output_grad.shape().str(), output.shape().str()));
  }
  output.slot()->accumulate(std::move(output_grad));
  while (!closures_.empty()) {
    {
      const std::function<void()> closure = std::move(closures_.back());
      closures_.pop_back();
      closure();
    }
    if (after_each_) after_each_();
  }
}

}  // namespace ddpm
