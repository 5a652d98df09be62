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
  // The largest norm of all gradients together, as in torch.nn.utils.clip_grad_norm_. 0: no
  // clipping.
  double clip_norm = 0;
  // 0: no moving average.
  double ema_decay = 0;
};

// The weight of the old average at a step (1, 2, ...): min(decay, (1 + step) / (10 + step)). The
// average thus forgets the initial weights quickly in the first steps (the warm-up of TensorFlow's
// ExponentialMovingAverage).
double ema_decay_at(double decay, int64_t step);

// The optimizer state of a list of parameters. moment1(), moment2() and ema() have the order of
// this list.
class Adam {
 public:
  // The averages start as copies of the parameters.
  Adam(std::vector<Variable> parameters, const AdamOptions& options);

  // The norm of all gradients together, before clipping. Parameters without a gradient count as
  // zero.
  double gradient_norm() const;
  // Applies and clears the gradients, and updates the averages. `gradient_norm` is the result of
  // gradient_norm(), or 0 if clipping is off. Parameters without a gradient are updated as with a
  // zero gradient.
  void step(double gradient_norm);

  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  void set_learning_rate(double learning_rate) { options_.learning_rate = learning_rate; }
  const AdamOptions& options() const { return options_; }

  // The state: one tensor per parameter. Writing to their elements changes the state. ema() is
  // empty if there is no average.
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
