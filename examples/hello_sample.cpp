// Loads a model and draws four pictures from it, each into a PPM file. Links nothing but
// ddpm::ddpm.
//   hello_sample RUN_OR_MODEL [SEED]
#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>

#include "ddpm/ddpm.h"

namespace {

// image: [H, W, C] in [-1, 1]; grey becomes RGB, alpha is left out.
void write_ppm(const std::string& path, const float* image, int64_t height, int64_t width,
               int64_t channels) {
  std::ofstream file(path, std::ios::binary);
  file << "P6 " << width << ' ' << height << " 255\n";
  for (int64_t pixel = 0; pixel < height * width; ++pixel) {
    for (int64_t c = 0; c < 3; ++c) {
      const float value = image[pixel * channels + (channels < 3 ? 0 : c)];
      file.put(static_cast<char>(std::clamp((value + 1) * 127.5f + 0.5f, 0.0f, 255.0f)));
    }
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::cerr << "usage: hello_sample RUN_OR_MODEL [SEED]\n";
    return 2;
  }
  const ddpm::Model model = ddpm::load_model(argv[1]);
  const ddpm::Tensor images =
      ddpm::generate(*model.network, model.config,
                     {.count = 4, .seed = argc > 2 ? std::stoull(argv[2]) : 0, .steps = 50});
  for (int64_t k = 0; k < images.size(0); ++k) {  // images: [4, H, W, C]
    const std::string path = "sample-" + std::to_string(k) + ".ppm";
    write_ppm(path, images.rows(k, k + 1).f32(), images.size(1), images.size(2), images.size(3));
    std::cout << ddpm::printable(path) << '\n';
  }
} catch (const ddpm::Error& error) {
  std::cerr << "hello_sample: " << error.what() << '\n';
  return 1;
}
