// Reverse-mode differentiation by a tape. Operations run when called; while a Tape is recording on
// this thread each also leaves a closure that turns the gradient of its output into gradients of
// its inputs. Tape::backward() runs the closures in reverse and drops each one after use, so
// activations are freed as the gradient passes them.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The place where the gradient of one value is summed. Closures hold these rather than whole
// variables, so that a value nobody needs for the backward pass is freed at once.
class GradSlot {
 public:
  bool defined() const { return grad_.defined(); }
  const Tensor& grad() const { return grad_; }
  // Adds to the gradient; the first contribution is taken as it is, without a copy.
  void accumulate(Tensor contribution);
  // Hands the gradient out and forgets it.
  Tensor take() { return std::exchange(grad_, Tensor()); }
  void clear() { grad_ = Tensor(); }

 private:
  Tensor grad_;
};

// What the backward pass will need of a value: the tensor itself or, where computing it anew is
// cheap, how to do so.
class Saved {
 public:
  using Recipe = std::function<Tensor()>;
  Saved() = default;
  explicit Saved(Tensor value) : value_(std::move(value)) {}
  explicit Saved(std::shared_ptr<const Recipe> recipe) : recipe_(std::move(recipe)) {}
  bool defined() const { return value_.defined() || recipe_; }
  // Empty where nothing was saved.
  Tensor get() const { return recipe_ ? (*recipe_)() : value_; }

 private:
  Tensor value_;
  std::shared_ptr<const Recipe> recipe_;
};

// A tensor and, where gradients are wanted, the slot for its gradient. Copies share both.
class Variable {
 public:
  Variable() = default;
  // A constant.
  explicit Variable(Tensor value) : value_(std::move(value)) {}
  // A leaf whose gradient is wanted: a parameter, or an input under test.
  static Variable leaf(Tensor value);

  const Tensor& value() const { return value_; }
  Tensor& value() { return value_; }
  const Shape& shape() const { return value_.shape(); }
  bool defined() const { return value_.defined(); }
  bool requires_grad() const { return slot_ != nullptr; }
  const std::shared_ptr<GradSlot>& slot() const { return slot_; }
  // For closures that need the value again.
  Saved saved() const { return recipe_ ? Saved(recipe_) : Saved(value_); }
  // From now on saved() is the recipe, so that the tape need not keep the value.
  void recompute_by(Saved::Recipe recipe) {
    recipe_ = std::make_shared<const Saved::Recipe>(std::move(recipe));
  }
  // The gradient after Tape::backward(); empty where none arrived.
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
  // Records this thread's operations from construction to destruction of the scope.
  class Recording {
   public:
    explicit Recording(Tape& tape);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

   private:
    Tape* previous_;
  };

  // While one lives, this thread records nothing, though it trains.
  class Pause {
   public:
    Pause();
    ~Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    bool previous_;
  };

  // Gradients of `output` with respect to every leaf, given the gradient of the loss with respect
  // to output. The tape is empty afterwards. Throws Error where output was not recorded or the
  // shapes differ.
  void backward(const Variable& output, Tensor output_grad);

  // Closures held now.
  size_t size() const { return closures_.size(); }

  // For operations: whether an output with these inputs needs recording now.
  static bool recording(std::initializer_list<const Variable*> inputs);
  // For operations: whether this thread is within a Recording, paused or not.
  static bool training();
  // For operations: `value` as the output of an operation whose backward closure receives its
  // gradient.
  static Variable record(Tensor value, std::function<void(Tensor grad)> backward);

 private:
  std::vector<std::function<void()>> closures_;
};

}  // namespace ddpm
