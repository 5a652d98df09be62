// Compares eight steps of training with PyTorch's: every loss, and every parameter at the end, on
// every host backend.
#include <cmath>

#include "ddpm/diffusion/noised_batch.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/nn/tutorial/unet.h"
#include "ddpm/optim/adam.h"
#include "tests/parity/parity.h"

namespace ddpm::test {
namespace {

using namespace tutorial;

class Trajectory : public ::testing::TestWithParam<Device> {};

INSTANTIATE_TEST_SUITE_P(Backends, Trajectory, ::testing::Values(Device::kRef, Device::kCpu),
                         backend_name);

// The fixture's network, batches and schedule on one backend.
class Training {
 public:
  Training(const Fixture& fixture, Device device)
      : fixture_(fixture), device_(device), network_({.dim = 8, .dim_mults = {1, 2}}, device) {
    load_parameters(network_, fixture.params());
  }

  std::vector<NamedParameter> parameters() { return network_.parameters(); }

  std::vector<Variable> variables() {
    std::vector<Variable> result;
    for (const NamedParameter& named : parameters()) result.push_back(named.parameter->variable);
    return result;
  }

  // Leaves the gradients in the parameters and returns the loss.
  double forward_backward(size_t i) {
    const Fixture::Tensors step = fixture_.group("step" + std::to_string(i) + ".");
    const Tensor x0 = step.at("x0").to(device_), noise = step.at("noise").to(device_),
                 t = step.at("t").to(device_);
    std::vector<NoiseLevel> levels;
    for (float value : t.values()) levels.push_back(schedule_.level(static_cast<int64_t>(value)));
    Tensor noisy(x0.shape(), DType::kFloat32, device_);
    add_noise(levels, x0, noise, noisy);
    EXPECT_LE(relative_l2(noisy, step.at("xt")), Tolerance::kBlock) << "step " << i;
    Tape tape;
    Loss loss;
    {
      const Tape::Recording recording(tape);
      loss = mean_loss(LossKind::kMse, network_(Variable(noisy), t), noise);
    }
    loss.backward(tape);
    return loss.value;
  }

 private:
  const Fixture& fixture_;
  Device device_;
  DiffusionUnet network_;
  Schedule schedule_{"linear", 1000};
};

// Adam's first step divides a gradient by its own magnitude plus eps = 1e-8. In a network whose
// gradients reach 1e-2, a gradient below eps is the rounding of a sum. It still moves its weight by
// up to a whole step, and all later steps depend on that. In the first step these few weights get
// the gradients of ref, so that a tight bound can hold for all weights.
void take_undecided_gradients(const std::vector<Variable>& from, const std::vector<Variable>& to) {
  constexpr float kUndecided = 1e-8f;
  constexpr int64_t kFew = 10;  // of 73875 weights
  int64_t taken = 0;
  for (size_t i = 0; i < to.size(); ++i) {
    const Tensor source = from[i].grad();
    Tensor target = to[i].grad();
    for (int64_t j = 0; j < source.elements(); ++j) {
      if (std::abs(source.f32()[j]) >= kUndecided) continue;
      target.f32()[j] = source.f32()[j];
      ++taken;
    }
  }
  EXPECT_LE(taken, kFew);
}

TEST_P(Trajectory, LossesAndFinalParameters) {
  const Fixture fixture("training_trajectory");
  Training training(fixture, GetParam());
  Adam adam(training.variables(), {.learning_rate = 1e-3});
  const std::vector<float> losses = fixture.at("losses").values();
  ASSERT_EQ(losses.size(), 8u);
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(training.forward_backward(i), losses[i], Tolerance::kTrajectoryLoss * losses[i])
        << "step " << i;
    if (i == 0) {
      Training reference(fixture, Device::kRef);
      reference.forward_backward(0);
      take_undecided_gradients(reference.variables(), training.variables());
    }
    adam.step(0);
  }
  const Fixture::Tensors trained = fixture.group("final.");
  for (const NamedParameter& named : training.parameters()) {
    EXPECT_LE(relative_l2(named.parameter->variable.value(), trained.at(named.path)),
              Tolerance::kTrajectoryParams)
        << named.path;
  }
}

}  // namespace
}  // namespace ddpm::test
