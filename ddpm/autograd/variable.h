// Reverse-mode differentiation with a tape. Operations run when they are called. While a Tape
// records on this thread, each operation also stores a closure that turns the gradient of its
// output into gradients of its inputs. Tape::backward() runs the closures in reverse order and
// deletes each one after use, so activations are freed during the backward pass.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The sum of the gradients of one value. Closures hold slots and not whole variables, so that a
// value that the backward pass does not need is freed at once.
class GradSlot {
 public:
  bool defined() const { return grad_.defined(); }
  const Tensor& grad() const { return grad_; }
  // Adds to the gradient. The first contribution is stored without a copy.
  void accumulate(Tensor contribution);
  // Returns the gradient and clears the slot.
  Tensor take() { return std::exchange(grad_, Tensor()); }
  void clear() { grad_ = Tensor(); }

 private:
  Tensor grad_;
};

// A value that the backward pass will need: the tensor itself or, if computing it again is cheap, a
// function that does so.
class Saved {
 public:
  using Recipe = std::function<Tensor()>;
  Saved() = default;
  explicit Saved(Tensor value) : value_(std::move(value)) {}
  explicit Saved(std::shared_ptr<const Recipe> recipe) : recipe_(std::move(recipe)) {}
  bool defined() const { return value_.defined() || recipe_; }
  // Empty if nothing was saved.
  Tensor get() const { return recipe_ ? (*recipe_)() : value_; }

 private:
  Tensor value_;
  std::shared_ptr<const Recipe> recipe_;
};

// A tensor and, if it needs a gradient, the slot for that gradient. Copies share both.
class Variable {
 public:
  Variable() = default;
  // A constant.
  explicit Variable(Tensor value) : value_(std::move(value)) {}
  // A leaf that gets a gradient: a parameter, or an input in a test.
  static Variable leaf(Tensor value);

  const Tensor& value() const { return value_; }
  Tensor& value() { return value_; }
  const Shape& shape() const { return value_.shape(); }
  bool defined() const { return value_.defined(); }
  bool requires_grad() const { return slot_ != nullptr; }
  const std::shared_ptr<GradSlot>& slot() const { return slot_; }
  // For closures that will need the value.
  Saved saved() const { return recipe_ ? Saved(recipe_) : Saved(value_); }
  // After this call saved() returns the recipe, so that the tape need not keep the value.
  void recompute_by(Saved::Recipe recipe) {
    recipe_ = std::make_shared<const Saved::Recipe>(std::move(recipe));
  }
  // The gradient after Tape::backward(). Empty if the variable received none.
  Tensor grad() const { return slot_ ? slot_->grad() : Tensor(); }
  void clear_grad() {
    if (slot_) slot_->clear();
  }

 private:
  Tensor value_;
  std::shared_ptr<GradSlot> slot_;
  std::shared_ptr<const Saved::Recipe> recipe_;
};

class Tape {
 public:
  // Records the operations of this thread while the object exists.
  class Recording {
   public:
    explicit Recording(Tape& tape);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

   private:
    Tape* previous_;
  };

  // While the object exists, this thread records nothing, but still counts as training.
  class Pause {
   public:
    Pause();
    ~Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    bool previous_;
  };

  // Computes the gradients of `output` with respect to every leaf, given the gradient of the loss
  // with respect to `output`. The tape is empty afterwards. Throws Error if `output` was not
  // recorded or the shapes differ.
  void backward(const Variable& output, Tensor output_grad);

  // backward() calls this after each closure, when nothing of the closure is left.
  void after_each_closure(std::function<void()> call) { after_each_ = std::move(call); }

  // The number of closures that the tape holds now.
  size_t size() const { return closures_.size(); }

  // For operations: whether an output with these inputs must be recorded now.
  static bool recording(std::initializer_list<const Variable*> inputs);
  // For operations: whether this thread is within a Recording, even if it is paused.
  static bool training();
  // For operations: makes `value` the output of an operation. The backward closure receives its
  // gradient.
  static Variable record(Tensor value, std::function<void(Tensor grad)> backward);

 private:
  std::vector<std::function<void()>> closures_;
  std::function<void()> after_each_;
};

}  // namespace ddpm
