#include "tests/support/gradients.h"

#include <algorithm>
#include <cmath>

#include "ddpm/base/philox.h"

namespace ddpm::test {

Tensor random_tensor(Shape shape, uint64_t seed, float scale, float offset) {
  Tensor tensor(shape);
  Philox(seed).normal(0, tensor.elements(), tensor.f32());
  for (int64_t i = 0; i < tensor.elements(); ++i)
    tensor.f32()[i] = tensor.f32()[i] * scale + offset;
  return tensor;
}

double worst_gradient_error(const Operation& operation, const std::vector<Tensor>& inputs,
                            double step) {
  std::vector<Variable> leaves;
  for (const Tensor& input : inputs) leaves.push_back(Variable::leaf(input.clone()));
  Tape tape;
  Variable out;
  {
    Tape::Recording recording(tape);
    out = operation(leaves);
  }
  const Tensor weights = random_tensor(out.shape(), 99).to(out.value().device());
  tape.backward(out, weights.clone());

  auto objective = [&] {
    const Tensor value = operation(leaves).value();
    double sum = 0;
    for (int64_t i = 0; i < value.elements(); ++i) sum += double(value.f32()[i]) * weights.f32()[i];
    return sum;
  };
  double worst = 0;
  for (Variable& leaf : leaves) {
    const std::vector<float> got = leaf.grad().values();
    double largest = 1e-3, difference = 0;
    for (float g : got) largest = std::max(largest, std::abs(double(g)));
    for (size_t i = 0; i < got.size(); ++i) {
      float& x = leaf.value().f32()[i];
      const float original = x;
      auto at = [&](double offset) {
        x = static_cast<float>(original + offset);
        const double value = objective();
        x = original;
        return value;
      };
      // The five-point stencil, whose error is proportional to step^4.
      const double slope =
          (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
      difference = std::max(difference, std::abs(slope - got[i]));
    }
    worst = std::max(worst, difference / largest);
  }
  return worst;
}

}  // namespace ddpm::test
