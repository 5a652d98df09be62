// Runs on several ranks, which are threads here.
#include <gmock/gmock.h>

#include <map>
#include <string>

#include "ddpm/comm/thread_group.h"
#include "ddpm/engine/run/run_test_support.h"
#include "ddpm/engine/run/serve_run.h"

namespace ddpm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class RunOnRanks : public test::RunTest {
 protected:
  RunOnRanks() {
    options_.optimizer.batch = 10;
    options_.optimizer.micro_batch = 4;
    options_.optimizer.steps = 8;
    options_.optimizer.average_halflife = {30};
    options_.optimizer.power_average = "0.1";
    options_.run.power_average_every = 3;
    options_.run.snapshot_every = 5;
    options_.data.validation = 0.3;
    options_.run.validate_every = 2;
  }

  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    // trainer_ranks_test.cpp runs under it.
    GTEST_SKIP() << "libvips, Pango and fontconfig were not compiled for ThreadSanitizer, which "
                    "takes their calls from several threads for races";
#endif
  }

  // Rank 0 does `use` with the run that it makes. The others serve.
  void on_ranks(int count, const std::function<void(Communicator&)>& use,
                const PictureLoader& pictures = pictures_from_source()) {
    run_thread_group(count, [&](Communicator& ranks) {
      if (ranks.rank() == 0)
        use(ranks);
      else
        serve_run(ranks, pictures);
    });
  }

  RunObserver observer() {
    RunObserver observer;
    observer.warned = [this](const std::string& text) { warnings_ += text + "\n"; };
    return observer;
  }

  static void do_steps(ddpm::Run& run, int64_t last) {
    while (!run.done() && run.steps() < last) run.step();
    run.finish();
  }

  void start(const std::string& name, int count, int64_t last = 1000) {
    on_ranks(count, [&](Communicator& ranks) {
      do_steps(*ddpm::Run::create(folder_ / name, options_, pictures_from_source(), observer(), {},
                                  &ranks),
               last);
    });
  }
  void resume(const std::string& name, int count, int64_t last = 1000) {
    on_ranks(count, [&](Communicator& ranks) {
      do_steps(*ddpm::Run::resume(folder_ / name, pictures_from_source(),
                                  {.options = options_, .ranks = &ranks}, observer()),
               last);
    });
  }

  // The hashes of all files of a run, by name. The speed in metrics.jsonl is left out.
  std::map<std::string, std::string> files(const std::string& name) const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / name)) {
      if (!entry.is_regular_file()) continue;
      std::string text = read_file(entry.path());
      for (size_t at; (at = text.find(",\"images_per_s\"")) != std::string::npos;)
        text.erase(at, text.find('}', at) - at);
      all[std::filesystem::relative(entry.path(), folder_ / name)] = hash_hex(text);
    }
    return all;
  }

  std::string warnings_;
};

TEST_F(RunOnRanks, WritesTheFilesOfARunAlone) {
  run("alone");
  const auto expected = files("alone");
  EXPECT_GT(expected.size(), 10);
  for (const int count : {1, 2, 3}) {
    const std::string name = std::to_string(count);
    start(name, count);
    EXPECT_EQ(files(name), expected) << count << " ranks";
  }
  EXPECT_EQ(warnings_, "");
}

// All ranks draw for it.
TEST_F(RunOnRanks, EvaluatesAsARunAlone) {
  options_.process.timesteps = 10;
  options_.data.validation = 0;
  options_.run.validate_every = 0;
  options_.run.eval_every = 4;
  options_.run.eval_n = 40;
  run("alone");
  start("ranks", 3);
  const auto expected = files("alone"), found = files("ranks");
  EXPECT_EQ(expected.count("eval.jsonl"), 1);
  EXPECT_EQ(found, expected);
}

TEST_F(RunOnRanks, GoesOnWithAnotherNumberOfRanks) {
  run("alone");
  start("a", 2, 3);
  resume("a", 3, 5);
  resume("a", 1, 6);
  run("a", true);
  EXPECT_TRUE(weights("a") == weights("alone"));
  EXPECT_EQ(files("a")["model.safetensors"], files("alone")["model.safetensors"]);
}

// Parts of the damaged one may have reached the other ranks.
TEST_F(RunOnRanks, TakesTheCheckpointBeforeADamagedOne) {
  run("alone");
  start("a", 3);
  damage(folder_ / "a/checkpoints/step-00000008.safetensors");
  resume("a", 2);
  EXPECT_THAT(warnings_, HasSubstr("step-00000008.safetensors"));
  EXPECT_EQ(files("a"), files("alone"));
}

TEST_F(RunOnRanks, TakesChunksUnlessAskedOtherwise) {
  options_.optimizer.micro_batch = 0;
  start("a", 2);
  options_.optimizer.micro_batch = 4;
  run("alone");
  EXPECT_TRUE(weights("a") == weights("alone"));
}

TEST_F(RunOnRanks, SaysThatARunWithoutChunksGoesOnWithOtherBits) {
  options_.optimizer.micro_batch = 0;
  options_.optimizer.steps = 3;
  run("a");
  options_.optimizer.steps = 6;
  resume("a", 2);
  EXPECT_THAT(warnings_, HasSubstr("not the same to the bit"));
  // The choice is that of a session.
  warnings_ = "";
  options_.optimizer.steps = 9;
  resume("a", 3);
  EXPECT_THAT(warnings_, HasSubstr("not the same to the bit"));
}

TEST_F(RunOnRanks, TellsOfRanksWithoutWork) {
  options_.optimizer.steps = 2;
  start("a", 4);
  EXPECT_THAT(warnings_,
              HasSubstr("only 3 of 4 ranks have work, because a batch of 10 pictures is 3 "
                        "chunks of 4; --batch 16 has work for all"));
}

// What a folder of pictures is on another host.
class RunWithOtherPictures : public RunOnRanks {
 protected:
  RunWithOtherPictures() {
    make_folder(others_);
    std::filesystem::copy(folder_ / "pictures", others_);
  }

  // What rank 0 reports when rank 1 sees the other folder.
  std::string refusal() {
    const PictureLoader elsewhere = [&](const PictureRequest& request) {
      DataOptions options = request.options;
      options.source = others_;
      return pictures_from_source()({request.directory, request.resumed, options, request.known,
                                     request.index, request.ranks});
    };
    std::string message;
    const auto create = [&](Communicator& ranks) {
      message = test::message_of([&] {
        ddpm::Run::create(folder_ / "a", options_, pictures_from_source(), {}, {}, &ranks);
      });
    };
    EXPECT_THROW(on_ranks(2, create, elsewhere), Error);
    EXPECT_FALSE(exists(folder_ / "a"));
    return message;
  }

  const std::string others_ = folder_ / "others";
};

TEST_F(RunWithOtherPictures, RefusesOtherNumbers) {
  std::filesystem::remove(others_ + "/0.png");
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("rank 1 (host thread): [data]"),
                    HasSubstr("holds 5 pictures here, which are not those of rank 0 (6)")));
}

TEST_F(RunWithOtherPictures, RefusesOtherSizes) {
  write_file_atomic(others_ + "/0.png", read_file(others_ + "/0.png") + "more");
  EXPECT_THAT(refusal(), HasSubstr("holds 6 pictures here, which are not those of rank 0 (6)"));
}

// Six pictures. Some batches hold a NaN, or are lost.
class FaultyPictures : public Pictures {
 public:
  enum class Fault { kNone, kNanInCalls5To7, kLostFromCall5 };
  explicit FaultyPictures(Fault fault) : fault_(fault) {}
  int64_t size() const override { return 6; }
  ImageSize image_size() const override { return {8, 8}; }
  int64_t channels() const override { return 1; }
  std::string name() const override { return "a program"; }
  DataFingerprint fingerprint() const override { return {}; }
  Batch batch(const BatchPlan& plan) const override {
    Tensor images({std::ssize(plan.indices), 8, 8, 1});
    for (int64_t i = 0; i < images.elements(); ++i) {
      const int64_t picture = plan.indices[static_cast<size_t>(i / 64)];
      images.f32()[i] = std::sin(static_cast<float>(11 * picture + i % 64));
    }
    ++calls_;
    if (fault_ == Fault::kNanInCalls5To7 && calls_ >= 5 && calls_ <= 7)
      images.f32()[5] = std::numeric_limits<float>::quiet_NaN();
    if (fault_ == Fault::kLostFromCall5 && calls_ >= 5) fail("data", "the disk is gone");
    return images;
  }

 private:
  const Fault fault_;
  mutable int calls_ = 0;
};

class RunWithFaultyPictures : public RunOnRanks {
 protected:
  using Fault = FaultyPictures::Fault;
  RunWithFaultyPictures() {
    options_.data.validation = 0;
    options_.data.channels = "1";
    options_.run.sample_every = 0;
  }

  // faults[r]: that of the pictures of rank r.
  void train(const std::string& name, const std::vector<Fault>& faults) {
    run_thread_group(static_cast<int>(faults.size()), [&](Communicator& ranks) {
      const PictureLoader loader = [&](const PictureRequest&) {
        return std::make_shared<FaultyPictures>(faults[static_cast<size_t>(ranks.rank())]);
      };
      if (ranks.rank() > 0) return serve_run(ranks, loader);
      const std::string folder = folder_ / name;
      const auto run = holds_run(folder)
                           ? ddpm::Run::resume(folder, loader,
                                               {.options = options_, .ranks = &ranks}, observer())
                           : ddpm::Run::create(folder, options_, loader, observer(), {}, &ranks);
      do_steps(*run, 1000);
    });
  }
};

TEST_F(RunWithFaultyPictures, SavesWhenAnotherRankHasLostThem) {
  options_.run.save_every = 100;
  train("whole", {Fault::kNone, Fault::kNone});
  const std::string message = test::message_of([&] {
    train("a", {Fault::kNone, Fault::kLostFromCall5});
  });
  EXPECT_THAT(message, HasSubstr("rank 1 (host thread): [data] the disk is gone"));
  EXPECT_THAT(warnings_, HasSubstr("step 4 is saved; put the pictures back"));
  train("a", {Fault::kNone, Fault::kNone});
  EXPECT_TRUE(weights("a") == weights("whole"));
}

TEST_F(RunWithFaultyPictures, ReturnToACheckpointAfterThreeBadSteps) {
  train("a", {Fault::kNanInCalls5To7});
  train("b", {Fault::kNanInCalls5To7, Fault::kNanInCalls5To7});
  EXPECT_THAT(warnings_, HasSubstr("the run returns to step 3"));
  EXPECT_EQ(files("b"), files("a"));
}

}  // namespace
}  // namespace ddpm
