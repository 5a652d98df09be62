// The sum of the gradients of several parts of a batch.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "ddpm/autograd/variable.h"

namespace ddpm {

// Adds the gradients of parts in groups of four, the sums of four groups, and so on, each from the
// first to the last. Which values are added depends only on the number of parts: not on what is in
// memory at the same time, nor on which machine computed a part. Because of the groups, a machine
// can add most of its parts before it sends anything. For n parts, at most log4(n) + 1 gradients of
// all parameters are kept.
class GradientSum {
 public:
  static constexpr int64_t kGroup = 4;

  explicit GradientSum(std::vector<Variable> parameters) : parameters_(std::move(parameters)) {}

  // Counts the gradients that the last backward pass added to those of the parameters as a part.
  void add();
  // Gives the sum of all parts to the parameters. Parameters that no part gave a gradient have
  // none. The next part is then the first of a new sum.
  void finish();
  // Forgets all parts, and clears the gradients of the parameters.
  void clear();

 private:
  struct Level {
    // One for each parameter. Empty if there is no sum.
    std::vector<GradSlot> sum;
    // How many sums of the level below it holds.
    int64_t count = 0;
  };

  std::vector<GradSlot> take_gradients();
  static void add_to(Level& level, std::vector<GradSlot> more);

  std::vector<Variable> parameters_;
  // The number of parts in the gradients of the parameters. They are the lowest level.
  int64_t parts_ = 0;
  std::vector<Level> levels_;
};

}  // namespace ddpm
