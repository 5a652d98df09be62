// For the tests of runs: runs of a tiny network on six pictures.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/hash.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/run/run.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm::test {

inline tutorial::UnetConfig& unet_of(TrainOptions& options) {
  return *options.network.get<tutorial::UnetConfig>();
}

// Six grey pictures of 8x8 that a program makes. A batch holds a NaN if is_sound() returns false
// for its plan.
class ProgramPictures : public Pictures {
 public:
  using IsSound = std::function<bool(const BatchPlan& plan)>;
  explicit ProgramPictures(IsSound is_sound) : is_sound_(std::move(is_sound)) {}
  int64_t size() const override { return 6; }
  ImageSize image_size() const override { return {8, 8}; }
  int64_t channels() const override { return 1; }
  std::string name() const override { return "a program"; }
  DataFingerprint fingerprint() const override { return {}; }
  Batch batch(const BatchPlan& plan) const override {
    Tensor images({static_cast<int64_t>(plan.indices.size()), 8, 8, 1});
    for (int64_t i = 0; i < images.elements(); ++i) {
      images.f32()[i] = std::sin(static_cast<float>(plan.indices[static_cast<size_t>(i / 64)] + i));
    }
    if (!is_sound_(plan)) images.f32()[5] = std::numeric_limits<float>::quiet_NaN();
    return images;
  }

 private:
  IsSound is_sound_;
};

struct Session {
  std::string directory;
  bool resume = false;
  bool accept_changed_data = false;
};

struct Outcome {
  int64_t steps = 0;
  bool finished = false;
};

// Does steps until all are done or `stop` is set, as `ddpm train` does.
inline Outcome train(const TrainOptions& options, const Session& session, RunObserver observer,
                     const std::atomic<bool>& stop) {
  observer.stopping = [&stop] { return stop.load(); };
  const auto run =
      session.resume
          ? Run::resume(session.directory, pictures_from_source(),
                        {.options = options, .accept_changed_data = session.accept_changed_data},
                        observer)
          : Run::create(session.directory, options, pictures_from_source(), observer);
  while (!run->done() && !stop) run->step();
  const bool finished = run->finish();
  return {.steps = run->steps(), .finished = finished};
}

class RunTest : public ::testing::Test {
 protected:
  RunTest() {
    make_folder(folder_ / "pictures");
    for (int k = 0; k < 6; ++k) draw_picture(std::to_string(k), 40 * k);
    options_.data.source = folder_ / "pictures";
    options_.data.size = "8";
    unet_of(options_).dim = 8;
    unet_of(options_).dim_mults = {1, 2};
    options_.optimizer.batch = 2;
    options_.optimizer.steps = 6;
    options_.run.save_every = 3;
    options_.run.sample_every = 4;
    options_.run.sample_count = 2;
    options_.run.sample_steps = 2;
  }

  void draw_picture(const std::string& name, int shade, int64_t channels = 3) {
    Tensor picture({9, 9, channels}, DType::kUInt8);
    for (int64_t i = 0; i < picture.elements(); ++i)
      picture.u8()[i] = static_cast<uint8_t>(shade + i % 7);
    write_png(folder_ / ("pictures/" + name + ".png"), picture);
  }

  // Flips one bit in the middle of the file's tensors.
  static void damage(const std::string& file) {
    std::string contents = read_file(file);
    contents[contents.size() / 2] ^= 4;
    write_file_atomic(file, contents);
  }

  Outcome run(const std::string& name, bool resume = false, const RunObserver& observer = {}) {
    return train(options_, {.directory = folder_ / name, .resume = resume}, observer, stop_);
  }
  std::vector<std::string> metrics(const std::string& name) {
    std::vector<std::string> lines;
    std::istringstream text(read_file(folder_ / (name + "/metrics.jsonl")));
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }
  // The tensors of a run's newest checkpoint. Their bytes must not depend on how often the run was
  // interrupted.
  std::string weights(const std::string& name) {
    const std::string file = read_file(*newest_checkpoint(folder_ / name));
    return file.substr(file.find("}}") + 2);
  }

  TemporaryFolder folder_;
  TrainOptions options_;
  std::atomic<bool> stop_ = false;
};

// A run in folder_/a with few steps and saves, for tests that resume it.
class Resume : public RunTest {
 protected:
  Resume() {
    options_.run.keep_checkpoints = 2;
    options_.optimizer.steps = 6;
    options_.run.save_every = 3;
  }

  std::string path(const std::string& name) const { return folder_ / ("a/" + name); }

  // The hashes of all files of the run, by name. The speed in metrics.jsonl is left out.
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "a")) {
      if (!entry.is_regular_file()) continue;
      std::string text = read_file(entry.path());
      if (entry.path().filename() == "metrics.jsonl") {
        for (size_t at; (at = text.find(",\"images_per_s\"")) != std::string::npos;)
          text.erase(at, text.find('}', at) - at);
      }
      all[std::filesystem::relative(entry.path(), folder_ / "a")] = hash_hex(text);
    }
    return all;
  }

  // The files of a whole run, which is removed.
  std::map<std::string, std::string> files_of_whole_run() {
    run("a");
    const auto whole = files();
    std::filesystem::remove_all(folder_ / "a");
    return whole;
  }
  // Expects a run that was stopped to end with these files.
  void expect_to_go_on_to(const std::map<std::string, std::string>& whole) {
    stop_ = false;
    EXPECT_TRUE(resume().finished);
    EXPECT_EQ(files(), whole);
  }

  Outcome resume(bool accept_changed_data = false) {
    warnings_.clear();
    RunObserver observer;
    observer.warned = [&](const std::string& text) { warnings_ += text + "\n"; };
    return train(
        options_,
        {.directory = folder_ / "a", .resume = true, .accept_changed_data = accept_changed_data},
        observer, stop_);
  }

  // Does a run with other options in folder_/other.
  void run_other(const std::function<void(TrainOptions&)>& change) {
    TrainOptions other = options_;
    change(other);
    train(other, {.directory = folder_ / "other"}, {}, stop_);
  }

  std::string warnings_;
};

}  // namespace ddpm::test
