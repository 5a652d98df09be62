// Eight steps of training against PyTorch's: every loss, and every parameter at the end, on every
// host backend.
#include "ddpm/diffusion/schedule.h"
#include "ddpm/nn/unet.h"
#include "ddpm/optim/adam.h"
#include "tests/parity/parity.h"

namespace ddpm::test {
namespace {

class Trajectory : public ::testing::TestWithParam<Device> {};

INSTANTIATE_TEST_SUITE_P(Backends, Trajectory, ::testing::Values(Device::kRef, Device::kCpu),
                         backend_name);

TEST_P(Trajectory, LossesAndFinalParameters) {
  const Device device = GetParam();
  const Fixture fixture("training_trajectory");
  DiffusionUnet network({.dim = 8, .dim_mults = {1, 2}}, device);
  load_parameters(network, fixture.params());
  std::vector<Variable> variables;
  for (const NamedParameter& named : network.parameters())
    variables.push_back(named.parameter->variable);
  Adam adam(variables, {.learning_rate = 1e-3});
  const Schedule schedule("linear", 1000);
  const std::vector<float> losses = fixture.at("losses").values();
  ASSERT_EQ(losses.size(), 8u);
  for (size_t i = 0; i < losses.size(); ++i) {
    const Fixture::Tensors step = fixture.group("step" + std::to_string(i) + ".");
    const Tensor x0 = step.at("x0").on(device), noise = step.at("noise").on(device),
                 t = step.at("t").on(device);
    std::vector<int64_t> steps;
    for (float value : t.values()) steps.push_back(static_cast<int64_t>(value));
    Tensor noisy(x0.shape(), DType::kFloat32, device);
    add_noise(schedule, x0, steps, noise, noisy);
    EXPECT_LE(relative_l2(noisy, step.at("xt")), Tolerance::kBlock) << "step " << i;
    Tape tape;
    Loss loss;
    {
      const Tape::Recording recording(tape);
      loss = mean_loss(LossKind::kMse, network(Variable(noisy), t), noise);
    }
    EXPECT_NEAR(loss.value, losses[i], Tolerance::kTrajectoryLoss * losses[i]) << "step " << i;
    loss.backward(tape);
    adam.step(0);
  }
  const Fixture::Tensors trained = fixture.group("final.");
  for (const NamedParameter& named : network.parameters()) {
    EXPECT_LE(relative_l2(named.parameter->variable.value(), trained.at(named.path)),
              Tolerance::kTrajectoryParams)
        << named.path;
  }
}

}  // namespace
}  // namespace ddpm::test
