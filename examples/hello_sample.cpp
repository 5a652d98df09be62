// Loads a model and draws four pictures with it. Links only ddpm::ddpm.
//   hello_sample RUN_OR_MODEL
#include <iostream>

#include "ddpm/ddpm.h"

int main(int argc, char** argv) try {
  if (argc < 2) throw ddpm::UsageError("usage: hello_sample RUN_OR_MODEL");
  const ddpm::Model model = ddpm::load_model(argv[1]);
  // [4, H, W, C] in [-1, 1]
  const ddpm::Tensor images = ddpm::generate(*model.network, model.config, {.count = 4});
  ddpm::write_ppm("samples.ppm", ddpm::make_grid(ddpm::to_bytes(images)));
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
