#include "ddpm/engine/mixture_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/memory.h"
#include "ddpm/base/options.h"
#include "ddpm/base/text.h"
#include "ddpm/base/threads.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/network.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

// Of means and standard deviations. Far larger ones overflow float.
constexpr double kMostNumber = 1e6;

class MixtureNetwork : public Network {
 public:
  MixtureNetwork(const MixtureConfig& config, Device device)
      : Network(device), config_(config), process_(config.process) {}

  Variable operator()(const NetworkInput& input) const override {
    check_input(input, config_.channels);
    const Tensor& x = input.x.value();  // [N, H, W, C]
    config_.check_image(x.size(1), x.size(2));
    Tensor output(x.shape(), DType::kFloat32, device());
    if (!memory_of(device()).holds_values()) return Variable(output);
    parallel_for(x.size(0), 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) write_image(x, input.t, n, output);
    });
    return Variable(output);
  }

 private:
  void write_image(const Tensor& x, const Tensor& t, int64_t n, Tensor& output) const {
    const NoiseLevel level = process_.level_told(double{t.f32()[n]});
    const Preconditioning use = process_.preconditioning(level);
    const auto size = static_cast<size_t>(config_.mixture->size);
    const float* from = x.f32() + n * config_.mixture->size;
    std::vector<double> noisy(size), image(size), noise(size);
    for (size_t i = 0; i < size; ++i) noisy[i] = double{from[i]} / use.c_in;
    config_.mixture->denoise(level, noisy.data(), image.data(), noise.data());
    float* to = output.f32() + n * config_.mixture->size;
    for (size_t i = 0; i < size; ++i)
      to[i] = static_cast<float>(use.target_x0 * image[i] + use.target_noise * noise[i]);
  }

  MixtureConfig config_;
  Process process_;
};

[[noreturn]] void fail_file(const SafetensorsFile& file, const std::string& what) {
  fail("mixture", fmt::format("{}: {}", file.path(), what));
}

// The elements of a tensor that must have this shape.
std::vector<double> read_numbers(const SafetensorsFile& file, const char* name,
                                 const Shape& wanted) {
  const SafetensorsEntry& entry = file.entry(name);
  if (entry.shape != wanted) {
    fail_file(file, fmt::format("{} is {}; a mixture of {} Gaussians over these pictures needs {}",
                                name, entry.shape.str(), wanted[0], wanted.str()));
  }
  if (entry.dtype != "F64" && entry.dtype != "F32") {
    fail_file(file, fmt::format("{} has the type {}; F64 and F32 can be used", name, entry.dtype));
  }
  std::vector<double> values = file.read_doubles(name);
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::abs(values[i]) <= kMostNumber) continue;
    fail_file(file,
              fmt::format("{}[{}] is {}; numbers of a mixture must be finite and not above {} "
                          "in size, and those of pictures lie between -1 and 1",
                          name, i, values[i], kMostNumber));
  }
  return values;
}

void require_positive(const SafetensorsFile& file, const char* name,
                      const std::vector<double>& values) {
  for (size_t k = 0; k < values.size(); ++k) {
    if (values[k] > 0) continue;
    fail_file(file, fmt::format("{}[{}] is {}; it must be above 0", name, k, values[k]));
  }
}

// [K, C * H * W] -> [K, H * W * C]
std::vector<double> channels_last(const std::vector<double>& means, int64_t channels,
                                  int64_t pixels) {
  std::vector<double> result(means.size());
  const auto c_count = static_cast<size_t>(channels), p_count = static_cast<size_t>(pixels);
  for (size_t i = 0; i < means.size(); ++i) {
    const size_t image = i / (c_count * p_count) * c_count * p_count;
    const size_t channel = (i - image) / p_count, pixel = (i - image) % p_count;
    result[image + pixel * c_count + channel] = means[i];
  }
  return result;
}

GaussianMixture read_tensors(const SafetensorsFile& file, const ModelConfig& config) {
  const Shape& counted = file.entry("weights").shape;
  if (counted.rank() != 1 || counted[0] < 1) {
    fail_file(file, fmt::format("weights is {}; it must be [K], one number for each Gaussian",
                                counted.str()));
  }
  const int64_t count = counted[0], pixels = config.height * config.width;
  GaussianMixture mixture{.size = config.network.channels() * pixels};
  const double bytes = 16.0 * static_cast<double>(count) * static_cast<double>(mixture.size);
  if (const AvailableMemory available = available_memory();
      bytes > static_cast<double>(available.bytes)) {
    fail_file(file, fmt::format("its means take {} of memory, but {} leaves {}", memory_text(bytes),
                                available.limit, memory_text(available.bytes)));
  }
  mixture.weights = read_numbers(file, "weights", {count});
  mixture.stds = read_numbers(file, "stds", {count});
  mixture.means = channels_last(read_numbers(file, "means", {count, mixture.size}),
                                config.network.channels(), pixels);
  require_positive(file, "weights", mixture.weights);
  require_positive(file, "stds", mixture.stds);
  double sum = 0;
  for (const double weight : mixture.weights) sum += weight;
  constexpr double kTolerance = 1e-6;
  if (std::abs(sum - 1) > kTolerance) {
    fail_file(file, fmt::format("the weights sum to {}; divide each by this, so that they sum to 1",
                                sum));
  }
  return mixture;
}

// The configuration in the metadata, without the mixture itself.
ModelConfig read_config(const SafetensorsFile& file) {
  const auto text = file.metadata().find(kConfigKey);
  if (text == file.metadata().end()) {
    fail_file(file, fmt::format("its metadata has no {}; a mixture needs JSON with channels, "
                                "height, width, schedule, timesteps and objective there",
                                kConfigKey));
  }
  const std::string what = fmt::format("{} in {}", kConfigKey, file.path());
  ModelConfig config = model_config_from_json(text->second, what, {.network = MixtureConfig{}});
  const JsonObject object = JsonObject::parse(text->second, what);
  const JsonObject known = JsonObject::parse(to_json(config), what);
  for (const auto& [name, value] : object.members()) {
    if (known.find(name) == nullptr)
      fail_file(file, fmt::format("{} has no member {}", kConfigKey, printable(name)));
  }
  for (const char* name : {"channels", "height", "width"}) {
    if (object.find(name) == nullptr) fail_file(file, fmt::format("{} lacks {}", kConfigKey, name));
  }
  auto* mixture = config.network.get<MixtureConfig>();
  if (mixture == nullptr)
    fail_file(file, fmt::format("network in {} must be mixture, or be left out", kConfigKey));
  if (config.height < 1 || config.width < 1)
    fail_file(file, fmt::format("height or width in {} is 0", kConfigKey));
  mixture->process = config.process;
  mixture->height = config.height;
  mixture->width = config.width;
  try {
    config.check();
  } catch (const Error& error) {
    fail_file(file, fmt::format("{}: {}", kConfigKey, without_place(error.what())));
  }
  return config;
}

// [K, H * W * C] -> [K, C * H * W]
std::vector<double> channels_first(const GaussianMixture& mixture, int64_t channels) {
  std::vector<double> means(mixture.means.size());
  const auto size = static_cast<size_t>(mixture.size), c_count = static_cast<size_t>(channels);
  const size_t pixels = size / c_count;
  for (size_t i = 0; i < means.size(); ++i) {
    const size_t image = i / size * size, at = i % size;
    means[image + at % c_count * pixels + at / c_count] = mixture.means[i];
  }
  return means;
}

}  // namespace

void GaussianMixture::denoise(const NoiseLevel& level, const double* x, double* image,
                              double* noise) const {
  const size_t count = weights.size(), n = static_cast<size_t>(size);
  const double alpha = level.alpha(), sigma = level.sigma();
  std::vector<double> shares(count), variances(count);
  for (size_t k = 0; k < count; ++k) {
    variances[k] = level.alpha_squared * stds[k] * stds[k] + level.sigma_squared;
    double square = 0;
    for (size_t i = 0; i < n; ++i) {
      const double left = x[i] - alpha * means[k * n + i];
      square += left * left;
    }
    shares[k] = std::log(weights[k]) -
                (square / variances[k] + static_cast<double>(size) * std::log(variances[k])) / 2;
  }
  const double most = *std::max_element(shares.begin(), shares.end());
  double sum = 0;
  for (double& share : shares) sum += share = std::exp(share - most);
  std::fill_n(image, n, 0.0);
  std::fill_n(noise, n, 0.0);
  for (size_t k = 0; k < count; ++k) {
    const double share = shares[k] / sum;
    if (share == 0) continue;
    const double to_image = alpha * stds[k] * stds[k] / variances[k];
    const double to_noise = sigma / variances[k];
    for (size_t i = 0; i < n; ++i) {
      const double mean = means[k * n + i], left = x[i] - alpha * mean;
      image[i] += share * (mean + to_image * left);
      noise[i] += share * to_noise * left;
    }
  }
}

void MixtureConfig::check() const {
  const auto refuse = [](const char* what) {
    fail_usage("mixture",
               fmt::format("the exact denoiser of a mixture has no {}; leave it out", what));
  };
  if (classes != 0) refuse("classes");
  if (condition_channels != 0) refuse("condition");
  if (augment_channels != 0) refuse("augmentation");
  if (output_dim != 0 && output_dim != channels) refuse("other channels in its output");
  if (process.learned_variance) refuse("learned variance");
  if (process.offset_noise != 0) refuse("offset noise");
}

void MixtureConfig::check_image(int64_t image_height, int64_t image_width) const {
  if (image_height == height && image_width == width) return;
  fail_usage("mixture", fmt::format("the pictures are {}x{}, but the mixture is one of pictures of "
                                    "{}x{}, and of no other size",
                                    image_height, image_width, height, width));
}

std::unique_ptr<Network> MixtureConfig::make(Device device) const {
  return std::make_unique<MixtureNetwork>(*this, device);
}

bool holds_mixture(const SafetensorsFile& file) {
  const auto family = file.metadata().find(kFamilyKey);
  if (family == file.metadata().end()) return false;
  std::vector<std::string> known = network_names();
  known.emplace_back(MixtureConfig::kFamily);
  if (std::find(known.begin(), known.end(), family->second) == known.end()) {
    fail_file(file, fmt::format("its {} is '{}', which this version does not know; it knows {}",
                                kFamilyKey, printable(family->second), join_choices(known)));
  }
  return family->second == MixtureConfig::kFamily;
}

void add_mixture(SafetensorsWriter& writer, const ModelConfig& config) {
  const GaussianMixture& mixture = *config.network.get<MixtureConfig>()->mixture;
  const auto count = static_cast<int64_t>(mixture.weights.size());
  writer.set_metadata(kFamilyKey, MixtureConfig::kFamily);
  writer.add_doubles("weights", {count}, mixture.weights);
  writer.add_doubles("means", {count, mixture.size},
                     channels_first(mixture, config.network.channels()));
  writer.add_doubles("stds", {count}, mixture.stds);
}

ModelConfig read_mixture(const SafetensorsFile& file, const JsonObject& given) {
  if (!given.members().empty()) {
    fail_usage("model", fmt::format("{} holds a mixture, whose configuration is complete; leave "
                                    "{} out",
                                    file.path(), given.members().front().first));
  }
  ModelConfig config = read_config(file);
  config.network.get<MixtureConfig>()->mixture =
      std::make_shared<const GaussianMixture>(read_tensors(file, config));
  return config;
}

}  // namespace ddpm
