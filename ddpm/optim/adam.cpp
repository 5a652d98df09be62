#include "ddpm/optim/adam.h"

#include <algorithm>
#include <cmath>

#include "ddpm/kernels/backend.h"

namespace ddpm {

double ema_decay_at(double decay, int64_t step) {
  return std::min(decay, (1.0 + static_cast<double>(step)) / (10.0 + static_cast<double>(step)));
}

Adam::Adam(std::vector<Variable> parameters, const AdamOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const Variable& parameter : parameters_) {
    const Tensor& value = parameter.value();
    moment1_.push_back(Tensor::zeros(value.shape(), value.device()));
    moment2_.push_back(Tensor::zeros(value.shape(), value.device()));
    if (options.ema_decay > 0) ema_.push_back(value.clone());
  }
}

double Adam::gradient_norm() const {
  std::vector<Tensor> gradients;
  for (const Variable& parameter : parameters_) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  }
  if (gradients.empty()) return 0;
  double sum = 0;
  backend_for(gradients.front().device()).run(op::SumOfSquares{.tensors = gradients, .sum = sum});
  return std::sqrt(sum);
}

void Adam::step(double gradient_norm) {
  ++steps_;
  AdamArgs args{.learning_rate = options_.learning_rate,
                .beta1 = options_.beta1,
                .beta2 = options_.beta2,
                .eps = options_.eps,
                .step = steps_,
                .ema_decay = ema_decay_at(options_.ema_decay, steps_)};
  if (options_.clip_norm > 0)
    args.grad_scale = std::min(1.0, options_.clip_norm / (gradient_norm + 1e-6));
  std::vector<AdamParameter> updates;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Variable& parameter = parameters_[i];
    Tensor gradient = parameter.grad();
    if (!gradient.defined())
      gradient = Tensor::zeros(parameter.shape(), parameter.value().device());
    updates.push_back(
        {parameter.value(), gradient, moment1_[i], moment2_[i], ema_.empty() ? Tensor() : ema_[i]});
  }
  if (updates.empty()) return;
  backend_for(updates.front().weight.device()).run(op::Adam{.args = args, .parameters = updates});
  for (Variable& parameter : parameters_) parameter.clear_grad();
}

}  // namespace ddpm
