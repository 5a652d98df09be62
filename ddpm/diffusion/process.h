// The forward process that a network was trained on: its noise levels, and the meaning of the
// network's output at each level.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ddpm/diffusion/level.h"
#include "ddpm/diffusion/process_config.h"
#include "ddpm/diffusion/weighting.h"

namespace ddpm {

class Philox;
struct BoundLevel;
struct ObjectiveKind;
enum class Pairing;
enum class ProcessKind;
struct Preconditioning;

// The levels of one kind of process.
class ProcessLevels;

// Immutable. Cheap to copy.
class Process {
 public:
  // Throws UsageError for an unknown schedule or objective, for a wrong number of time steps, and
  // as ProcessConfig::check() does.
  explicit Process(const ProcessConfig& config);

  // How the network is used at a level, and the weight of the level in the loss.
  Preconditioning preconditioning(const NoiseLevel& level) const;

  // A random level for training on one image. The same position of a stream of random numbers
  // always gives the same level.
  NoiseLevel draw(const Philox& random, uint64_t position) const;
  // The level at a quantile, 0 < q < 1, of the distribution that draw() draws from. For a q that is
  // uniform, the level has this distribution.
  NoiseLevel at_quantile(double q) const;
  // The reciprocal of the density of log SNR at a level from draw(). For time steps: their number
  // times half the distance between both neighbours in log SNR, and at the ends half the distance
  // to the only one, so that its mean over all steps is the trapezoidal rule for the integral over
  // log SNR.
  double inverse_density(const NoiseLevel& level) const;

  // Noise has a part that all pixels of a channel share. This is its size relative to that of each
  // pixel.
  double offset_noise() const { return offset_noise_; }
  // The size of the further noise that the input has in training, relative to that of the target.
  double input_perturbation() const { return input_perturbation_; }

  // How the levels and the noises of a batch depend on each other.
  bool low_discrepancy() const { return low_discrepancy_; }
  Pairing pairing() const { return pairing_; }

  // Whether the network's output also holds the variance of a step, in as many further channels.
  bool learned_variance() const { return learned_variance_; }
  // What the variational bound needs to know about a level from draw(). Throws Error if the
  // variance is not learned.
  BoundLevel bound(const NoiseLevel& level) const;
  // The weight of the bound of one level in the hybrid loss: 0.001 times the number of time steps,
  // because the loss has the bounds of all time steps together and an image one of them (Nichol &
  // Dhariwal 2021, section 3.3).
  double bound_weight() const { return 0.001 * static_cast<double>(most_steps_); }

  ProcessKind kind() const;
  // The configured number of time steps, also for a process with continuous levels.
  int64_t most_steps() const { return most_steps_; }

  // The levels with the most and with the least noise that the network was trained on.
  NoiseLevel noisiest() const;
  NoiseLevel cleanest() const;
  // The level of a time step, from 0 to most_steps() - 1. For whole numbers of a scheduled process
  // this is exactly its level. Between them log(sigma / alpha) is interpolated. For flow it is the
  // level with sigma = (time + 1) / most_steps(). EDM has no time steps: throws Error.
  NoiseLevel at_time(double time) const;
  // The level with this sigma / alpha, which must be finite. For a scheduled process the ratio is
  // first brought between those of its first level and its last level of finite ratio.
  NoiseLevel at_ratio(double ratio) const;
  // The level for which the network gets the number t, the inverse of NoiseLevel::t.
  NoiseLevel level_told(double t) const;

 private:
  const ObjectiveKind* objective_;
  const WeightingKind* weighting_;
  WeightingOptions weighting_options_;
  bool low_discrepancy_;
  Pairing pairing_;
  bool learned_variance_;
  double offset_noise_;
  double input_perturbation_;
  int64_t most_steps_;
  std::shared_ptr<const ProcessLevels> levels_;
};

}  // namespace ddpm
