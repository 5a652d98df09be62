// The sum of the gradients of several parts of a batch, in an order that depends on nothing but
// their number.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "ddpm/autograd/variable.h"

namespace ddpm {

// Parts are added in groups of four, the sums of four groups, and so on, each from the first to the
// last. Four sums of one level make one of the next: sum i of level k is that of the parts
// [i * 4^k, (i + 1) * 4^k).
inline constexpr int64_t kGradientGroup = 4;

// Sums of one level that follow each other and were added from the first to the last. If there are
// several, the first begins a group.
struct PartialSum {
  int level = 0;
  // The number of the first of them, and how many there are.
  int64_t index = 0, count = 1;
  // Undefined for zero.
  Tensor sum;

  bool begins_group() const { return index % kGradientGroup == 0; }
};

// What is known of the sum of one parameter's gradients: the partial sums of the parts seen so far,
// as few as the order allows. The parts may begin anywhere in the batch.
class OrderedSum {
 public:
  // `next` begins where the last one ended.
  void add(PartialSum next);
  // The partial sums in their order. Nothing is left.
  std::vector<PartialSum> take() { return std::exchange(partial_, {}); }
  // The sum of all parts, if they began with part 0 and the last was the last of the batch. Nothing
  // is left.
  Tensor total();

 private:
  std::vector<PartialSum> partial_;
};

// The partial sums, without their values, of the parts [first, first + count).
std::vector<PartialSum> partial_sums(int64_t first, int64_t count);

// The sums of the gradients of several parameters. For n parts from the first on, at most
// log4(n) + 1 gradients of all parameters are kept.
class GradientSum {
 public:
  explicit GradientSum(std::vector<Variable> parameters)
      : parameters_(std::move(parameters)), sums_(parameters_.size()) {}

  // Forgets all parts, and clears the gradients of the parameters. The next part has this number.
  void restart(int64_t first_part = 0);
  // Counts the gradients that the last backward pass added to those of the parameters as a part.
  void add();
  // Gives the sum of all parts to the parameters. Parameters that no part gave a gradient have
  // none. The next part is then the first of a new sum.
  void finish();
  // Counts the gradient of one parameter as that of the last part, and returns its partial sums.
  // restart() must follow when this was called for all parameters.
  std::vector<PartialSum> take_last(size_t parameter);

 private:
  // Moves what the parameter's gradient holds to its sum.
  void move_gradient(size_t parameter, int64_t parts);

  std::vector<Variable> parameters_;
  std::vector<OrderedSum> sums_;
  // The number of the next part.
  int64_t next_ = 0;
  // How many parts before it are in the gradients of the parameters: those of a group from its
  // first.
  int64_t waiting_ = 0;
};

}  // namespace ddpm
