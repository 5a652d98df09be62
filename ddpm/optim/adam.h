// Adam (Kingma & Ba 2014, arXiv:1412.6980) as PyTorch computes it, in one pass over the parameters,
// with the decay, the clipping and the average. With a weight decay it is AdamW (Loshchilov &
// Hutter 2017, arXiv:1711.05101).
#pragma once

#include <string>
#include <vector>

#include "ddpm/optim/optimizer.h"

namespace ddpm {

// Adam's moments of some of an optimizer's parameters.
class AdamMoments {
 public:
  AdamMoments(const std::vector<OptimizedParameter>& parameters, std::vector<size_t> members);

  const std::vector<size_t>& members() const { return members_; }
  // One tensor per member. Writing to their elements changes the state.
  const std::vector<Tensor>& first() const { return first_; }
  const std::vector<Tensor>& second() const { return second_; }
  // Adds the moments, with the prefixes `name`.m. and `name`.v.
  void add_to(std::vector<StateTensor>& state, const std::string& name = "adam") const;

 private:
  std::vector<size_t> members_;
  std::vector<Tensor> first_, second_;
};

// An optimizer that updates some parameters by Adam, and perhaps others in another way.
class PartlyAdam : public Optimizer {
 public:
  std::vector<StateTensor> state() const override;

 protected:
  // `members`: the parameters that Adam updates.
  PartlyAdam(std::vector<OptimizedParameter> parameters, const AdamOptions& options,
             std::vector<size_t> members);
  void apply(const std::vector<Tensor>& gradients, const AdamArgs& args) override;
  const AdamMoments& moments() const { return moments_; }

 private:
  AdamMoments moments_;
};

// All parameters.
class Adam : public PartlyAdam {
 public:
  Adam(std::vector<OptimizedParameter> parameters, const AdamOptions& options);
  // Parameters that do not decay.
  Adam(const std::vector<Variable>& parameters, const AdamOptions& options);

  std::string describe() const override;
  // The state: one tensor per parameter, in their order.
  const std::vector<Tensor>& moment1() const { return moments().first(); }
  const std::vector<Tensor>& moment2() const { return moments().second(); }
};

// The numbers of the parameters for which `chosen` is true.
template <class Chosen>
std::vector<size_t> members_where(const std::vector<OptimizedParameter>& parameters,
                                  const Chosen& chosen) {
  std::vector<size_t> members;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (chosen(parameters[i])) members.push_back(i);
  }
  return members;
}

}  // namespace ddpm
