// What all optimizers have in common: gradients are clipped and applied, and a moving average
// follows the weights. adam.h, muon.h and soap.h hold the optimizers, update_options.h chooses one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/autograd/variable.h"
#include "ddpm/kernels/operations/training.h"

namespace ddpm {

// What a parameter is to the optimizers. Matrices [in, out] and filters [kh, kw, C_in, C_out] are
// kInner, those of a network's first and last layer kOuter. All others (biases, norms, embeddings)
// are kOther.
enum class ParameterRole { kOther, kOuter, kInner };

struct OptimizedParameter {
  Variable variable;
  ParameterRole role = ParameterRole::kOther;
};

// A tensor of an optimizer's state. In a checkpoint its name is the prefix and the parameter's
// path.
struct StateTensor {
  // For example "adam.m.".
  std::string prefix;
  // The parameter's number in the list that the optimizer was made with.
  size_t parameter = 0;
  // Shares storage with the state: writing to its elements changes the state.
  Tensor tensor;
  // Whether the tensor has the axes of the parameter. If not, it is a matrix [n, n] over one axis.
  bool like_parameter = true;
};

// The parameters as a rank of a job has them that updates only some: `updated` tells which. The
// others become constants on Device::kDry, so that nothing is kept for them. The numbers of the
// parameters stay.
std::vector<OptimizedParameter> updated_only(std::vector<OptimizedParameter> parameters,
                                             const std::vector<bool>& updated);

// The options that all optimizers share. All update some of the parameters by Adam.
struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  // The largest norm of all gradients together, as in torch.nn.utils.clip_grad_norm_. 0: no
  // clipping.
  double clip_norm = 0;
  // 0: no moving average.
  double ema_decay = 0;
  // In each step, matrices and filters lose this share of themselves times the learning rate
  // (Loshchilov & Hutter 2017, arXiv:1711.05101). Parameters of the role kOther do not decay.
  double weight_decay = 0;
};

// The weight of the old average at a step (1, 2, ...): min(decay, (1 + step) / (10 + step)). The
// average thus forgets the initial weights quickly in the first steps (the warm-up of TensorFlow's
// ExponentialMovingAverage).
double ema_decay_at(double decay, int64_t step);

class Optimizer {
 public:
  // The averages start as copies of the parameters. Parameters on a device without values beside
  // others with values are those of updated_only(): they are not updated, and their state has no
  // values either.
  Optimizer(std::vector<OptimizedParameter> parameters, const AdamOptions& options);
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // The square of the norm of each parameter's gradient. Parameters without a gradient have zero.
  std::vector<double> squared_norms() const;
  // The norm of all gradients together, before clipping: the root of the sum of squared_norms(),
  // added in their order.
  double gradient_norm() const;
  // Applies and clears the gradients, and updates the averages. `gradient_norm` is the result of
  // gradient_norm(), or 0 if clipping is off. Parameters without a gradient are updated as with a
  // zero gradient.
  void step(double gradient_norm);

  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  void set_learning_rate(double learning_rate) { options_.learning_rate = learning_rate; }
  const AdamOptions& options() const { return options_; }

  // The moving average: one tensor per parameter, in their order. Writing to their elements changes
  // the state. Empty if there is no average.
  const std::vector<Tensor>& ema() const { return ema_; }
  // Everything else that a later step depends on, besides steps(). The order is always the same.
  virtual std::vector<StateTensor> state() const = 0;
  // One line for people: which parameters are updated how.
  virtual std::string describe() const = 0;

 protected:
  // A step with the number args.step (1, 2, ...). gradients[i] has the shape of parameter i and is
  // to be multiplied by args.grad_scale. Updates the weights, the state and, by args.ema_decay, the
  // averages.
  virtual void apply(const std::vector<Tensor>& gradients, const AdamArgs& args) = 0;

  const std::vector<OptimizedParameter>& parameters() const { return parameters_; }
  // Whether the parameter is updated here.
  bool updates(size_t i) const;
  std::vector<size_t> updated(const std::vector<size_t>& members) const;
  Tensor& weight(size_t i) { return parameters_[i].variable.value(); }
  Tensor average(size_t i) const { return ema_.empty() ? Tensor() : ema_[i]; }
  // The factor of a weight before its update: 1 - learning rate * weight decay, if it decays.
  double keep(size_t i) const;
  // Moves the averages of these parameters towards their weights.
  void move_averages(const std::vector<size_t>& members, double decay);
  // The number of weights in these parameters.
  int64_t count(const std::vector<size_t>& members) const;

 private:
  std::vector<OptimizedParameter> parameters_;
  AdamOptions options_;
  // No parameter has values: nothing is computed, but the memory for it is counted.
  bool counts_only_;
  int64_t steps_ = 0;
  std::vector<Tensor> ema_;
};

}  // namespace ddpm
