// Trains a small model on a folder of images and leaves a run directory that `ddpm sample` and
// hello_sample understand.
//   train_folder FOLDER RUN [STEPS]
#include <atomic>
#include <iostream>
#include <string>

#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/engine/run.h"

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::cerr << "usage: train_folder FOLDER RUN [STEPS]\n";
    return 2;
  }
  ddpm::TrainOptions options;
  options.data.source = argv[1];
  options.data.size = "16";
  ddpm::read_options({{"dim", "32"}, {"dim_mults", "[1, 2]"}}, options.network);
  options.optimizer.steps = argc > 3 ? std::stoll(argv[3]) : 2000;

  ddpm::TrainEvents events;
  events.loaded = [](const ddpm::LoadReport& report, const ddpm::Dataset&) {
    std::cout << report.loaded << " pictures, " << report.skipped.size() << " skipped\n";
  };
  events.stepped = [](const ddpm::StepMetrics& metrics, double images_per_s) {
    if (metrics.step % 100 == 0) {
      std::cout << "step " << metrics.step << " loss " << metrics.loss << " images/s "
                << images_per_s << '\n';
    }
  };
  events.saved = [](const std::string& path) {
    std::cout << "saved " << ddpm::printable(path) << '\n';
  };

  const std::atomic<bool> stop =
      false;  // set it from a signal handler or another thread to stop after a step
  const ddpm::TrainResult result = ddpm::train(options, {.directory = argv[2]}, events, stop);
  std::cout << result.steps << " steps done\n";
} catch (const ddpm::Error& error) {
  std::cerr << "train_folder: " << error.what() << '\n';
  return 1;
}
