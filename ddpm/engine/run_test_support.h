// Runs of a tiny network over six pictures. For run_test.cpp and run_resume_test.cpp.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/run.h"
#include "tests/support/folder.h"

namespace ddpm::test {

class Run : public ::testing::Test {
 protected:
  Run() {
    make_folder(folder_ / "pictures");
    for (int k = 0; k < 6; ++k) draw_picture(std::to_string(k), 40 * k);
    options_.data = folder_ / "pictures";
    options_.size = "8";
    options_.dim = 8;
    options_.dim_mults = {1, 2};
    options_.batch = 2;
    options_.steps = 6;
    options_.save_every = 3;
    options_.sample_every = 4;
    options_.sample_count = 2;
    options_.sample_steps = 2;
  }

  void draw_picture(const std::string& name, int shade, int64_t channels = 3) {
    Tensor picture({9, 9, channels}, DType::kUInt8);
    for (int64_t i = 0; i < picture.elements(); ++i)
      picture.u8()[i] = static_cast<uint8_t>(shade + i % 7);
    write_png(folder_ / ("pictures/" + name + ".png"), picture);
  }

  TrainResult run(const std::string& name, bool resume = false, const TrainEvents& events = {}) {
    return train(options_, {.directory = folder_ / name, .resume = resume}, events, stop_);
  }
  std::vector<std::string> metrics(const std::string& name) {
    std::vector<std::string> lines;
    std::istringstream text(read_file(folder_ / (name + "/metrics.jsonl")));
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }
  // The tensors of a run's newest checkpoint, whose bytes must not depend on how often the run was
  // interrupted.
  std::string weights(const std::string& name) {
    const std::string file = read_file(*newest_checkpoint(folder_ / name));
    return file.substr(file.find("}}") + 2);
  }

  TemporaryFolder folder_;
  TrainOptions options_;
  std::atomic<bool> stop_ = false;
};

}  // namespace ddpm::test
