#include "ddpm/diffusion/process.h"

namespace ddpm {

Process::Process(const ProcessConfig& config)
    : objective_(find_objective(config.objective)), schedule_(config.schedule, config.timesteps) {}

NoiseLevel Process::draw(const Philox& random, uint64_t position) const {
  const uint64_t steps = static_cast<uint64_t>(schedule_.steps());
  return schedule_.level(static_cast<int64_t>(random.below(steps, position)));
}

std::vector<NoiseStep> Process::steps(int64_t count) const {
  const Schedule walked = schedule_.respaced(count);
  std::vector<NoiseStep> steps;
  for (int64_t i = count - 1; i >= 0; --i) steps.push_back(walked.step(i));
  return steps;
}

}  // namespace ddpm
