// Trains on a program's own arrays with labels: squares and discs, drawn here. hello_sample and
// `ddpm sample` can use the resulting run.
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
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
