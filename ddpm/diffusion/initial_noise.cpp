#include "ddpm/diffusion/initial_noise.h"

#include "ddpm/base/philox.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

std::vector<uint64_t> image_seeds(uint64_t seed, int64_t first, int64_t count) {
  std::vector<uint64_t> seeds;
  for (int64_t k = first; k < first + count; ++k) {
    seeds.push_back(mix_seed(seed, static_cast<uint64_t>(k)));
  }
  return seeds;
}

Tensor noise_of(const std::vector<uint64_t>& image_seeds, uint64_t stream, double offset,
                const Shape& image, Device device) {
  const auto images = static_cast<int64_t>(image_seeds.size());
  Backend& backend = backend_for(device);
  Tensor x({images, image[0], image[1], image[2]}, DType::kFloat32, device);
  backend.run(op::Normal{.seeds = image_seeds, .stream = stream, .x = x});
  if (offset == 0) return x;
  constexpr uint64_t kOffsets = uint64_t{1} << 63;
  Tensor offsets({images, image[2]}, DType::kFloat32, device);
  backend.run(op::Normal{.seeds = image_seeds, .stream = kOffsets + stream, .x = offsets});
  backend.run(op::AddToChannels{.factor = static_cast<float>(offset), .values = offsets, .x = x});
  return x;
}

Tensor initial_noise(const std::vector<uint64_t>& image_seeds, const Shape& image, Device device,
                     double offset) {
  return noise_of(image_seeds, 0, offset, image, device);
}

}  // namespace ddpm
