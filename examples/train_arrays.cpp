// Trains on a program's own arrays with labels: squares and discs, drawn here. At the end, it draws
// pictures of each class. hello_sample and `ddpm sample` can use the resulting run.
//   train_arrays RUN
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <vector>

#include "ddpm/ddpm.h"

int main(int argc, char** argv) try {
  if (argc < 2) throw ddpm::UsageError("usage: train_arrays RUN");
  std::vector<uint8_t> pixels(64 * 16 * 16);  // [N, H, W, 1]
  std::vector<int64_t> labels(64);
  for (int64_t i = 0; i < 64 * 16 * 16; ++i) {
    const int64_t n = i / 256, x = i % 16 - 8, y = i / 16 % 16 - 8, radius = 3 + n % 4;
    labels[n] = n / 4 % 2;
    const int64_t distance = labels[n] == 0 ? std::max(x * x, y * y) : x * x + y * y;
    pixels[i] = distance < radius * radius ? 255 : 0;
  }
  ddpm::TrainOptions options;
  ddpm::read_options({{"dim", "16"}, {"dim_mults", "[1, 2]"}, {"steps", "300"}}, options);
  const auto pictures = ddpm::array_pictures(pixels, {64, 16, 16, 1}, {labels, {"square", "disc"}});
  const auto run = ddpm::Run::create(argv[1], options, pictures);
  while (!run->done()) std::cout << "loss " << run->step().loss << '\n';
  run->finish();
  // Two of each: [4, 16, 16, 1] in [-1, 1].
  const ddpm::Tensor drawn = run->sample({.count = 2, .labels = {0, 1}, .guidance = 2});
  for (int64_t k = 0; k < drawn.size(0); ++k) {
    std::cout << run->config().class_name(k / 2) << '\n';
    for (int64_t i = 0; i < 256; ++i)
      std::cout << (drawn.f32()[k * 256 + i] > 0 ? "#" : ".") << (i % 16 == 15 ? "\n" : "");
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
