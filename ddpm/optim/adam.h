// Adam with gradient clipping and an exponential moving average of the weights, all in one pass
// over the parameters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/autograd/variable.h"

namespace ddpm {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double clip_norm = 0;  // largest norm of all gradients together, as
                         // torch.nn.utils.clip_grad_norm_; 0: no clipping
  double ema_decay = 0;  // 0: no moving average
};

// Weight of the old average at a step (1, 2, ...): min(decay, (1 + step) / (10 + step)), so that a
// young average forgets the initial weights quickly (the warm-up of TensorFlow's
// ExponentialMovingAverage).
double ema_decay_at(double decay, int64_t step);

// Optimizer state of a list of parameters. The list's order is the order of moment1(), moment2()
// and ema().
class Adam {
 public:
  // The averages start as copies of the parameters.
  Adam(std::vector<Variable> parameters, const AdamOptions& options);

  // The norm of all gradients together, before clipping; parameters without a gradient count as
  // zero.
  double gradient_norm() const;
  // Applies the gradients, whose norm is gradient_norm() (0 where clipping is off), updates the
  // averages and clears the gradients. Parameters without a gradient are updated as with a zero
  // gradient.
  void step(double gradient_norm);

  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  void set_learning_rate(double learning_rate) { options_.learning_rate = learning_rate; }
  const AdamOptions& options() const { return options_; }

  // State, one tensor per parameter; writing to their elements sets the state. ema() is empty
  // without an average.
  const std::vector<Tensor>& moment1() const { return moment1_; }
  const std::vector<Tensor>& moment2() const { return moment2_; }
  const std::vector<Tensor>& ema() const { return ema_; }

 private:
  std::vector<Variable> parameters_;
  AdamOptions options_;
  int64_t steps_ = 0;
  std::vector<Tensor> moment1_, moment2_, ema_;
};

}  // namespace ddpm
