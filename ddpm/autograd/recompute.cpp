#include "ddpm/autograd/recompute.h"

#include <utility>

namespace ddpm {

Variable recompute(std::function<Variable()> function) {
  if (!Tape::training()) return function();
  Tensor value;
  {
    const Tape::Pause pause;
    value = function().value();
  }
  return Tape::record(std::move(value), [function = std::move(function)](Tensor dy) {
    Tape tape;
    Variable again;
    {
      const Tape::Recording recording(tape);
      again = function();
    }
    // Variables inside `function` share their slots with those of the first call. Gradients
    // therefore arrive in the same slots, and in the same order, as without recomputing.
    tape.backward(again, std::move(dy));
  });
}

}  // namespace ddpm
