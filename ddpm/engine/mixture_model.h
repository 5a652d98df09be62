// A model without a network: the pictures are a mixture of Gaussians, for which the best denoiser
// is a formula. With it, samplers are tried and compared without training anything.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ddpm/base/json.h"
#include "ddpm/diffusion/process_config.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/io/safetensors.h"

namespace ddpm {

struct NoiseLevel;

// p(x0) = sum of weights[k] N(means[k], stds[k]^2 I) over images of `size` numbers.
struct GaussianMixture {
  int64_t size = 0;
  std::vector<double> weights;  // [K]
  std::vector<double> means;    // [K, size], each image in the order [H, W, C]
  std::vector<double> stds;     // [K]

  // The means of the image and of the noise given x = alpha x0 + sigma noise of a level:
  //   v_k   = alpha^2 s_k^2 + sigma^2
  //   r     = softmax(ln w_k - size / 2 ln v_k - |x - alpha mu_k|^2 / (2 v_k))
  //   image = sum of r_k (mu_k + alpha s_k^2 / v_k (x - alpha mu_k))
  //   noise = sigma times the sum of r_k (x - alpha mu_k) / v_k
  // Neither divides by sigma or alpha. x, image and noise have `size` numbers each.
  void denoise(const NoiseLevel& level, const double* x, double* image, double* noise) const;
};

// The options of such a "network" (see FamilyOptions in network_config.h). It returns exactly what
// a network of the process's objective is trained to return. It has no parameters.
struct MixtureConfig {
  static constexpr const char* kFamily = "mixture";

  std::shared_ptr<const GaussianMixture> mixture;
  ProcessConfig process;
  int64_t channels = 1;
  int64_t height = 1;
  int64_t width = 1;
  int64_t output_dim = 0;
  int64_t condition_channels = 0;
  int64_t classes = 0;
  int64_t augment_channels = 0;

  void fields(Fields&) {}
  // Throws UsageError for a condition, classes, augmentation, learned variance and offset noise,
  // for which the formula does not hold.
  void check() const;
  // Throws UsageError for another size than that of the mixture.
  void check_image(int64_t image_height, int64_t image_width) const;
  int64_t side_divisor() const { return 1; }
  void take_given(const JsonObject&) {}
  std::unique_ptr<Network> make(Device device) const;
};

// True if the metadata of the file says that it holds a mixture: ddpm.family = mixture. False if it
// names a family of networks, or none. Throws Error for another value, naming the families.
bool holds_mixture(const SafetensorsFile& file);

// Reads the tensors weights [K], means [K, C * H * W] (each mean in the order [C, H, W]) and stds
// [K], float64 or float32, and from the metadata ddpm.config: channels, height, width, and members
// of ProcessConfig such as schedule, timesteps and objective. make_network() of the result's
// network then makes the denoiser. Throws Error for a file that does not hold these, whose weights
// are not positive or do not sum to 1, whose stds are not positive, or whose means or stds are
// above a million in size, and UsageError if anything is `given`.
ModelConfig read_mixture(const SafetensorsFile& file, const JsonObject& given);

// Adds the tensors of a mixture, with all their digits, and ddpm.family. ddpm.config is left to the
// caller.
void add_mixture(SafetensorsWriter& writer, const ModelConfig& config);

}  // namespace ddpm
