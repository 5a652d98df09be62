#include "ddpm/optim/adam.h"

#include <fmt/core.h>

#include "ddpm/kernels/backend.h"

namespace ddpm {
namespace {

std::vector<OptimizedParameter> without_decay(const std::vector<Variable>& variables) {
  std::vector<OptimizedParameter> parameters;
  for (const Variable& variable : variables) parameters.push_back({variable});
  return parameters;
}

std::vector<size_t> all_of(const std::vector<OptimizedParameter>& parameters) {
  return members_where(parameters, [](const OptimizedParameter&) { return true; });
}

}  // namespace

AdamMoments::AdamMoments(const std::vector<OptimizedParameter>& parameters,
                         std::vector<size_t> members)
    : members_(std::move(members)) {
  for (const size_t i : members_) {
    const Tensor& value = parameters[i].variable.value();
    first_.push_back(Tensor::zeros(value.shape(), value.device()));
    second_.push_back(Tensor::zeros(value.shape(), value.device()));
  }
}

void AdamMoments::add_to(std::vector<StateTensor>& state, const std::string& name) const {
  for (size_t k = 0; k < members_.size(); ++k)
    state.push_back({name + ".m.", members_[k], first_[k]});
  for (size_t k = 0; k < members_.size(); ++k)
    state.push_back({name + ".v.", members_[k], second_[k]});
}

PartlyAdam::PartlyAdam(std::vector<OptimizedParameter> parameters, const AdamOptions& options,
                       std::vector<size_t> members)
    : Optimizer(std::move(parameters), options),
      moments_(Optimizer::parameters(), std::move(members)) {}

void PartlyAdam::apply(const std::vector<Tensor>& gradients, const AdamArgs& args) {
  std::vector<AdamParameter> changed;
  for (size_t k = 0; k < moments_.members().size(); ++k) {
    const size_t i = moments_.members()[k];
    if (!updates(i)) continue;
    changed.push_back({.weight = weight(i),
                       .grad = gradients[i],
                       .moment1 = moments_.first()[k],
                       .moment2 = moments_.second()[k],
                       .ema = average(i),
                       .keep = keep(i)});
  }
  if (changed.empty()) return;
  backend_for(changed.front().weight.device()).run(op::Adam{.args = args, .parameters = changed});
}

std::vector<StateTensor> PartlyAdam::state() const {
  std::vector<StateTensor> state;
  moments_.add_to(state);
  return state;
}

Adam::Adam(std::vector<OptimizedParameter> parameters, const AdamOptions& options)
    : PartlyAdam(parameters, options, all_of(parameters)) {}

Adam::Adam(const std::vector<Variable>& parameters, const AdamOptions& options)
    : Adam(without_decay(parameters), options) {}

std::string Adam::describe() const {
  const double decay = options().weight_decay;
  const std::string of_decay =
      decay > 0 ? fmt::format(", weight decay {} for matrices and filters", decay) : "";
  return fmt::format("{} (betas {} and {}){}", decay > 0 ? "AdamW" : "Adam", options().beta1,
                     options().beta2, of_decay);
}

}  // namespace ddpm
