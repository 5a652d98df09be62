// The sum of the gradients of several parts of a batch.
#pragma once

#include <vector>

#include "ddpm/autograd/variable.h"

namespace ddpm {

// Adds gradients in pairs, then the sums of pairs, and so on. Which values are added depends only
// on the number of parts: not on what is in memory at the same time, nor on which machine computed
// a part. For n parts it holds at most log2(n) + 1 gradients of all parameters.
class GradientSum {
 public:
  explicit GradientSum(std::vector<Variable> parameters) : parameters_(std::move(parameters)) {}

  // Takes the gradients of the parameters, which are those of the next part.
  void add();
  // Gives the sum of all parts to the parameters. Parameters that no part gave a gradient have
  // none. The next part is then the first of a new sum.
  void finish();
  // Forgets all parts, and clears the gradients of the parameters.
  void clear();

 private:
  // One for each parameter.
  using Gradients = std::vector<GradSlot>;

  std::vector<Variable> parameters_;
  // levels_[k] is empty or the sum of 2^k parts.
  std::vector<Gradients> levels_;
};

}  // namespace ddpm
