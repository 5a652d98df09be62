// A run as a program uses it: with the program's own pictures, while other threads watch.
#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <thread>

#include "ddpm/base/threads.h"
#include "ddpm/data/dataset.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/run/run_test_support.h"

namespace ddpm {
namespace {

using test::message_of;
using test::refusal;
using ::testing::HasSubstr;

void finish(Run& run) {
  while (!run.done()) run.step();
  EXPECT_TRUE(run.finish());
}

class RunObject : public test::RunTest {
 protected:
  RunObject() {
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<uint8_t>(31 * i);
    options_.data = {};
  }

  std::shared_ptr<const Pictures> pictures() const {
    return array_pictures(bytes_, {6, 8, 8, 1}, {.of_pictures = labels_});
  }

  int counter_ = 0;
  std::string directory_ = folder_ / "run";
  std::vector<uint8_t> bytes_ = std::vector<uint8_t>(6 * 8 * 8);
  std::vector<int64_t> labels_ = {0, 1, 2, 0, 1, -1};
};

TEST_F(RunObject, TrainsOnArraysOfAProgram) {
  const int threads = num_threads();
  const auto run = Run::create(directory_, options_, pictures());
  EXPECT_EQ(run->config().network.channels(), 1);
  EXPECT_EQ(run->config().height, 8);
  EXPECT_FALSE(run->done());
  finish(*run);
  EXPECT_EQ(run->steps(), 6);
  EXPECT_THROW(run->step(), Error);
  EXPECT_TRUE(run->finish());
  EXPECT_EQ(run->sample({.count = 2, .sampling = {.steps = 2}}).shape(), (Shape{2, 8, 8, 1}));
  EXPECT_EQ(num_threads(), threads);
  for (const char* file : {"config.json", "data.jsonl", "loss.png", "model.safetensors",
                           "samples/step-00000006.png", "checkpoints/step-00000006.safetensors"})
    EXPECT_TRUE(exists(directory_ + "/" + file)) << file;
}

TEST_F(RunObject, GoesOnWithTheSamePicturesToTheSameBits) {
  finish(*Run::create(folder_ / "whole", options_, pictures()));
  {
    const auto run = Run::create(directory_, options_, pictures());
    for (int i = 0; i < 4; ++i) run->step();
    run->save();
    // This step is lost and done again.
    run->step();
  }
  const auto run = Run::resume(directory_, pictures());
  EXPECT_EQ(run->first_step(), 4);
  finish(*run);
  EXPECT_EQ(weights("run"), weights("whole"));
}

TEST_F(RunObject, OtherPicturesAreRefused) {
  finish(*Run::create(directory_, options_, pictures()));
  bytes_[77] ^= 1;
  EXPECT_THAT(refusal([&] { Run::resume(directory_, pictures()); }),
              HasSubstr("1 file changed (pixels)"));
  bytes_[77] ^= 1;
  labels_[5] = 2;
  EXPECT_THAT(refusal([&] { Run::resume(directory_, pictures()); }),
              HasSubstr("1 file changed (labels)"));
  const auto larger = array_pictures(std::vector<uint8_t>(2 * 16 * 16), {2, 16, 16, 1});
  EXPECT_THAT(refusal([&] { Run::resume(directory_, larger); }), HasSubstr("size"));
  TrainOptions more = read_run_options(directory_);
  more.optimizer.steps = 8;
  const auto run =
      Run::resume(directory_, pictures(), {.options = more, .accept_changed_data = true});
  finish(*run);
  EXPECT_EQ(run->steps(), 8);
}

TEST_F(RunObject, ItsPicturesCannotBeGuessed) {
  EXPECT_THAT(refusal([&] { Run::create(directory_, options_, pictures_from_source()); }),
              HasSubstr("no data given"));
  EXPECT_FALSE(exists(directory_));
  finish(*Run::create(directory_, options_, pictures()));
  EXPECT_THAT(refusal([&] { Run::resume(directory_, pictures_from_source()); }),
              HasSubstr("--data"));
}

// Pictures whose batch() does what the test wants.
class OddPictures : public Pictures {
 public:
  explicit OddPictures(std::function<Batch(const BatchPlan&)> make, int64_t channels = 1)
      : make_(std::move(make)), channels_(channels) {}
  int64_t size() const override { return 6; }
  ImageSize image_size() const override { return {8, 8}; }
  int64_t channels() const override { return channels_; }
  std::string name() const override { return "odd"; }
  DataFingerprint fingerprint() const override { return {}; }
  Batch batch(const BatchPlan& plan) const override { return make_(plan); }

 private:
  std::function<Batch(const BatchPlan&)> make_;
  int64_t channels_;
};

TEST_F(RunObject, BatchesThatBreakTheInterfaceAreNamed) {
  const auto error_with = [&](const std::function<Batch(const BatchPlan&)>& make) {
    const auto run = Run::create(folder_ / std::to_string(counter_++), options_,
                                 std::make_shared<OddPictures>(make));
    return message_of([&] { run->step(); });
  };
  const auto images = [](Shape shape, float value) {
    return [=](const BatchPlan&) { return Batch(Tensor::full(shape, value)); };
  };
  const int64_t batch = options_.optimizer.batch;
  EXPECT_EQ(error_with(images({batch, 8, 8, 1}, 0.5F)), "");
  EXPECT_THAT(error_with(images({batch + 1, 8, 8, 1}, 0.5F)), HasSubstr("Pictures::batch() gave"));
  EXPECT_THAT(error_with(images({batch, 1, 8, 8}, 0.5F)), HasSubstr("Pictures::batch() gave"));
  EXPECT_THAT(error_with([](const BatchPlan&) { return Batch(); }),
              HasSubstr("Pictures::batch() gave"));
  EXPECT_THAT(error_with([&](const BatchPlan&) {
                return Batch(Tensor({batch, 8, 8, 1}, DType::kUInt8));
              }),
              HasSubstr("type uint8"));
}

TEST_F(RunObject, RequestsThatCannotWorkAreRefused) {
  EXPECT_THAT(refusal([&] { Run::create(directory_, options_, PictureLoader()); }),
              HasSubstr("loads the pictures"));
  EXPECT_THAT(refusal([&] { Run::resume("", pictures()); }), HasSubstr("empty"));
  const auto two_channels =
      std::make_shared<OddPictures>([](const BatchPlan&) { return Batch(); }, 2);
  EXPECT_THAT(refusal([&] { Run::create(directory_, options_, two_channels); }),
              HasSubstr("must have 1, 3 or 4"));
  TrainOptions wider = options_;
  wider.network.output_dim() = 3;
  EXPECT_THAT(refusal([&] { Run::create(directory_, wider, pictures()); }),
              HasSubstr("output_dim is 3"));
}

TEST_F(RunObject, CallsFromInsideAStepAreErrors) {
  std::unique_ptr<ddpm::Run> run;
  std::vector<std::string> errors;
  const auto inner = [&](const BatchPlan&) {
    errors.push_back(message_of([&] { run->averaged_model(); }));
    errors.push_back(message_of([&] { run->step(); }));
    return Batch(Tensor::full({options_.optimizer.batch, 8, 8, 1}, 0.5F));
  };
  run = ddpm::Run::create(directory_, options_, std::make_shared<OddPictures>(inner));
  run->step();
  ASSERT_EQ(errors.size(), 2U);
  EXPECT_THAT(errors[0], HasSubstr("averaged_model() was called from inside step()"));
  EXPECT_THAT(errors[1], HasSubstr("step() was called from inside step()"));
}

TEST_F(RunObject, TwoRunsLiveInOneProcess) {
  finish(*Run::create(folder_ / "alone", options_, pictures()));
  const auto one = Run::create(folder_ / "one", options_, pictures());
  const auto two = Run::create(folder_ / "two", options_, pictures());
  while (!one->done()) {
    one->step();
    two->step();
  }
  EXPECT_TRUE(one->finish());
  EXPECT_TRUE(two->finish());
  EXPECT_EQ(weights("one"), weights("alone"));
  EXPECT_EQ(weights("two"), weights("alone"));
  EXPECT_THAT(refusal([&] { Run::resume(folder_ / "one", pictures()); }), HasSubstr("in use"));
}

TEST_F(RunObject, ASnapshotTellsHowFarItIs) {
  const auto run = Run::create(directory_, options_, pictures());
  RunSnapshot seen = run->snapshot();
  EXPECT_EQ(seen.steps, 0);
  EXPECT_EQ(seen.wanted_steps, 6);
  EXPECT_EQ(seen.metrics.step, 0);
  EXPECT_EQ(seen.checkpoint, "");
  const RunMetrics metrics = run->step();
  seen = run->snapshot();
  EXPECT_EQ(seen.steps, 1);
  EXPECT_EQ(seen.metrics.loss, metrics.loss);
  EXPECT_GT(seen.metrics.images_per_s, 0);
  finish(*run);
  seen = run->snapshot();
  EXPECT_EQ(seen.checkpoint, checkpoint_path(directory_, 6));
  EXPECT_EQ(seen.model, directory_ + "/model.safetensors");
  EXPECT_EQ(seen.samples, directory_ + "/samples/step-00000006.png");
}

TEST_F(RunObject, TheAveragedModelIsThatOfTheFile) {
  const auto run = Run::create(directory_, options_, pictures());
  finish(*run);
  const Model copy = run->averaged_model(), file = load_model(directory_);
  EXPECT_EQ(copy.trained_steps, 6);
  const auto of_copy = copy.network->parameters(), of_file = file.network->parameters();
  ASSERT_EQ(of_copy.size(), of_file.size());
  for (size_t i = 0; i < of_copy.size(); ++i) {
    EXPECT_EQ(of_copy[i].parameter->variable.value().values(),
              of_file[i].parameter->variable.value().values());
  }
}

// The values that readers see belong to one moment, and reading does not disturb the run.
TEST_F(RunObject, OtherThreadsReadWhileItSteps) {
  options_.optimizer.steps = 40;
  options_.run.sample_every = 10;
  finish(*Run::create(folder_ / "alone", options_, pictures()));
  const auto run = Run::create(directory_, options_, pictures());
  std::atomic<bool> over = false;
  std::atomic<int> models = 0;
  const auto watch = [&] {
    int64_t step = 0, model_step = 0;
    while (!over) {
      const RunSnapshot seen = run->snapshot();
      EXPECT_GE(seen.steps, step);
      EXPECT_TRUE(seen.metrics.step == seen.steps || seen.metrics.step == 0);
      step = seen.steps;
      const Model model = run->averaged_model();
      EXPECT_GE(model.trained_steps, std::max(step, model_step));
      model_step = model.trained_steps;
      EXPECT_EQ(
          generate(*model.network, model.config, {.count = 1, .sampling = {.steps = 2}}).size(0),
          1);
      ++models;
    }
  };
  std::thread one(watch), two(watch);
  finish(*run);
  while (models < 4) std::this_thread::yield();
  over = true;
  one.join();
  two.join();
  EXPECT_EQ(weights("run"), weights("alone"));
}

}  // namespace
}  // namespace ddpm
