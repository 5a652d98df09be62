// The choice of an optimizer, and its options. Programs that only give options need no more.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ddpm/base/options.h"

namespace ddpm {

// optimizer.h
class Optimizer;
struct AdamOptions;
struct OptimizedParameter;

struct UpdateOptions {
  std::string optimizer = "adam";
  double weight_decay = 0.01;
  // 0: the optimizer's own.
  double beta1 = 0;
  double beta2 = 0;
  double adam_epsilon = 1e-8;
  double momentum = 0.95;
  int64_t precondition_every = 10;
  int64_t precondition_limit = 512;

  void fields(Fields& field);
  // Throws UsageError for an option that was changed but that the optimizer does not use.
  void check() const;
};

std::vector<std::string> optimizer_names();

// The optimizer that the options name. `rest` gives the learning rate, the clipping and the
// average; its other members are not used. Throws UsageError for an unknown name.
std::unique_ptr<Optimizer> make_optimizer(std::vector<OptimizedParameter> parameters,
                                          const UpdateOptions& options, const AdamOptions& rest);

}  // namespace ddpm
