#include "ddpm/optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ddpm/kernels/backend.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {

double ema_decay_at(double decay, int64_t step) {
  return std::min(decay, (1.0 + static_cast<double>(step)) / (10.0 + static_cast<double>(step)));
}

std::vector<OptimizedParameter> updated_only(std::vector<OptimizedParameter> parameters,
                                             const std::vector<bool>& updated) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    Variable& variable = parameters[i].variable;
    if (!updated[i])
      variable = Variable(Tensor(variable.shape(), variable.value().dtype(), Device::kDry));
  }
  return parameters;
}

Optimizer::Optimizer(std::vector<OptimizedParameter> parameters, const AdamOptions& options)
    : parameters_(std::move(parameters)),
      options_(options),
      counts_only_(std::none_of(parameters_.begin(), parameters_.end(), [](const auto& parameter) {
        return parameter.variable.value().memory().holds_values();
      })) {
  if (options.ema_decay == 0) return;
  for (const OptimizedParameter& parameter : parameters_)
    ema_.push_back(parameter.variable.value().clone());
}

std::vector<double> Optimizer::squared_norms() const {
  std::vector<double> norms(parameters_.size());
  std::vector<size_t> members;
  std::vector<Tensor> gradients;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor gradient = parameters_[i].variable.grad();
    if (!gradient.defined()) continue;
    members.push_back(i);
    gradients.push_back(gradient);
  }
  if (gradients.empty()) return norms;
  std::vector<double> sums;
  backend_for(gradients.front().device()).run(op::SumOfSquares{.tensors = gradients, .sums = sums});
  // A device that only counts memory gives no sums.
  for (size_t k = 0; k < sums.size(); ++k) norms[members[k]] = sums[k];
  return norms;
}

double Optimizer::gradient_norm() const {
  const std::vector<double> norms = squared_norms();
  return std::sqrt(std::accumulate(norms.begin(), norms.end(), 0.0));
}

void Optimizer::step(double gradient_norm) {
  ++steps_;
  AdamArgs args{.learning_rate = options_.learning_rate,
                .beta1 = options_.beta1,
                .beta2 = options_.beta2,
                .eps = options_.eps,
                .step = steps_,
                .ema_decay = ema_decay_at(options_.ema_decay, steps_)};
  if (options_.clip_norm > 0)
    args.grad_scale = std::min(1.0, options_.clip_norm / (gradient_norm + 1e-6));
  if (parameters_.empty()) return;
  std::vector<Tensor> gradients;
  for (const OptimizedParameter& parameter : parameters_) {
    const Tensor& value = parameter.variable.value();
    const Tensor gradient = parameter.variable.grad();
    gradients.push_back(gradient.defined() ? gradient
                                           : Tensor::zeros(value.shape(), value.device()));
  }
  apply(gradients, args);
  for (OptimizedParameter& parameter : parameters_) parameter.variable.clear_grad();
}

bool Optimizer::updates(size_t i) const {
  return counts_only_ || parameters_[i].variable.value().memory().holds_values();
}

std::vector<size_t> Optimizer::updated(const std::vector<size_t>& members) const {
  std::vector<size_t> updated;
  for (const size_t i : members)
    if (updates(i)) updated.push_back(i);
  return updated;
}

double Optimizer::keep(size_t i) const {
  if (parameters_[i].role == ParameterRole::kOther) return 1;
  return 1 - options_.learning_rate * options_.weight_decay;
}

void Optimizer::move_averages(const std::vector<size_t>& members, double decay) {
  if (ema_.empty()) return;
  std::vector<AveragedTensor> tensors;
  for (const size_t i : updated(members)) tensors.push_back({weight(i), ema_[i]});
  if (tensors.empty()) return;
  backend_for(tensors.front().value.device())
      .run(op::MoveAverages{.decay = decay, .tensors = tensors});
}

int64_t Optimizer::count(const std::vector<size_t>& members) const {
  int64_t weights = 0;
  for (const size_t i : members) weights += parameters_[i].variable.value().elements();
  return weights;
}

}  // namespace ddpm
