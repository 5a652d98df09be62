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

Tensor initial_noise(const std::vector<uint64_t>& image_seeds, const Shape& image, Device device) {
  Tensor x({static_cast<int64_t>(image_seeds.size()), image[0], image[1], image[2]},
           DType::kFloat32, device);
  backend_for(device).run(op::Normal{.seeds = image_seeds, .stream = 0, .x = x});
  return x;
}

}  // namespace ddpm
