// Huge numbers and little memory: the program refuses with a reason and never crashes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "ddpm/base/file.h"
#include "ddpm/io/safetensors.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

// A sanitizer needs far more address space for itself.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kLimited = false;
#else
constexpr bool kLimited = true;
#endif

// With as much address space as `ulimit -v 2000000` leaves.
Outcome run_in_2_gb(const std::vector<std::string>& arguments) {
  Program program(arguments, {.prepare = [] {
                    const rlimit limit{2'000'000ull * 1024, 2'000'000ull * 1024};
                    if (kLimited) setrlimit(RLIMIT_AS, &limit);
                  }});
  return program.wait();
}

class Limits : public ::testing::Test {
 protected:
  void SetUp() override { make_model(model_); }

  void expect_refused(const std::vector<std::string>& arguments, int status,
                      const std::string& says) {
    const Outcome outcome = run_in_2_gb(arguments);
    const std::string command = ::testing::PrintToString(arguments);
    EXPECT_EQ(outcome.status, status) << command << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(says)) << command;
  }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.safetensors";
  const std::string grid_ = folder_ / "grid.png";
};

TEST_F(Limits, EveryNumberOfSampleHasARange) {
  for (const char* value : {"-1", "72057594037927936", "9223372036854775807"}) {
    for (const char* flag : {"--n", "--batch", "--steps", "--columns", "--scale"}) {
      expect_refused({"sample", model_, "--out", grid_, "--steps", "1", flag, value}, 2, flag);
    }
  }
  for (const char* size : {"0", "16385", "9223372036854775807", "-8"}) {
    expect_refused({"sample", model_, "--out", grid_, "--size", size}, 2, "size");
  }
}

TEST_F(Limits, EveryNumberOfBenchDataAndInfoHasARange) {
  make_pictures(folder_ / "pictures", 1);
  for (const char* value : {"0", "-1", "9223372036854775807"}) {
    for (const char* flag : {"--batch", "--channels", "--repetitions"}) {
      expect_refused({"bench", flag, value}, 2, flag);
    }
    expect_refused({"data", folder_ / "pictures", "--out", grid_, "--n", value}, 2, "--n");
    expect_refused({"info", model_, "--batch", value}, 2, "--batch");
  }
  expect_refused({"bench", "--dim", "1048576", "--dim-mults", "1048576"}, 2, "dim");
  expect_refused({"data", folder_ / "pictures", "--out", grid_, "--scale", "1000000000"}, 2,
                 "--scale");
}

TEST_F(Limits, WhatWillNotFitIsRefusedBeforeItBegins) {
  expect_refused({"sample", model_, "--out", grid_, "--n", "1", "--size", "16384"}, 2, "would fit");
  expect_refused({"sample", model_, "--out", grid_, "--n", "1000000", "--size", "256"}, 2,
                 "use a smaller --n");
  expect_refused({"bench", "--size", "16384", "--batch", "1048576"}, 2, "would fit");
  EXPECT_THAT(names_in(folder_.path()), ::testing::ElementsAre("model.safetensors"));
  make_pictures(folder_ / "pictures", 1);
  const std::vector<std::string> train = {
      "train", "--data", folder_ / "pictures", "--out", folder_ / "run", "--sample-every", "0"};
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"--size", "16384"}, {"--batch", "1048576"}, {"--dim", "16384"}}) {
    std::vector<std::string> words = train;
    words.insert(words.end(), flags.begin(), flags.end());
    expect_refused(words, 2, flags[0] == "--dim" ? "would need less" : "would fit");
  }
  EXPECT_THAT(names_in(folder_.path()),
              ::testing::UnorderedElementsAre("model.safetensors", "pictures"));
}

TEST_F(Limits, TwoGigabytesAreEnoughForSmallThings) {
  EXPECT_EQ(run_in_2_gb({"sample", model_, "--out", grid_, "--n", "2", "--steps", "2"}).status, 0);
  // The stacks of 2000 threads do not fit in memory; the program must work with fewer.
  EXPECT_EQ(run_in_2_gb(
                {"sample", model_, "--out", grid_, "--n", "2", "--steps", "2", "--threads", "2000"})
                .status,
            0);
  EXPECT_EQ(run_in_2_gb({"info", model_, "--size", "512", "--batch", "1024"}).status, 0);
}

TEST_F(Limits, InputsOfForwardThatCannotBeAreErrors) {
  const std::string in = folder_ / "in.safetensors", out = folder_ / "out.safetensors";
  const auto expect = [&](const Tensor& x, const Tensor& t, int status, const std::string& says) {
    SafetensorsWriter writer;
    writer.add("x", x);
    writer.add("t", t);
    writer.write(in);
    expect_refused({"forward", model_, "--in", in, "--out", out}, status, says);
  };
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                  kInfinity = std::numeric_limits<float>::infinity();
  const Tensor x = Tensor::zeros({1, 3, 8, 8}), t = Tensor::zeros({1});
  expect(Tensor::zeros({0, 3, 8, 8}), Tensor::zeros({0}), 1, "0 images");
  expect(Tensor::zeros({1, 3, 0, 8}), t, 2, "height 0");
  expect(Tensor::zeros({1, 0, 8, 8}), t, 1, "0 channels");
  expect(Tensor::zeros({0, 3, int64_t{1} << 30, 1 << 20}), Tensor::zeros({0}), 1, "0 images");
  expect(Tensor::zeros({3, 8, 8}), t, 1, "x [N, C, H, W]");
  expect(x, Tensor::zeros({1, 1}), 1, "t of");
  expect(x, Tensor::full({1}, kNan), 1, "contains nan");
  expect(x, Tensor::full({1}, -kInfinity), 1, "contains -inf");
  expect(Tensor::full({1, 3, 8, 8}, kNan), t, 1, "contains nan");
}

TEST(InfoOfFlags, NeedsNoFile) {
  const Outcome outcome =
      run_in_2_gb({"info", "--size", "64", "--dim", "32", "--dim-mults", "1,2", "--batch", "8",
                   "--data", "anything", "--out", "anywhere", "--steps", "5", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json told = Json::parse(outcome.out);
  EXPECT_EQ(told["path"], nullptr);
  EXPECT_EQ(told["config"]["dim"], 32);
  EXPECT_EQ(told["config"]["height"], 64);
  EXPECT_EQ(told["batch"], 8);
  EXPECT_GT(told["training_bytes"], 1e6);
  EXPECT_GT(told["available_bytes"], 0);
  EXPECT_TRUE(!kLimited || told["available_bytes"] <= 2.048e9) << told;
}

TEST(InfoOfFlags, ReadsAConfiguration) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "config.json", R"({"size": 16, "dim": 16, "channels": 1})");
  const Outcome outcome =
      run_ddpm({"info", "--config", folder / "config.json", "--dim", "8", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json told = Json::parse(outcome.out);
  EXPECT_EQ(told["config"]["dim"], 8);
  EXPECT_EQ(told["config"]["channels"], 1);
  EXPECT_EQ(told["height"], 16);
}

TEST(InfoOfFlags, SaysWhatIsMissingOrTooMuch) {
  EXPECT_EQ(run_ddpm({"info"}).status, 2);
  EXPECT_THAT(run_ddpm({"info"}).err, HasSubstr("MODEL"));
  const TemporaryFolder folder;
  make_model(folder / "model.safetensors");
  const Outcome both = run_ddpm({"info", folder / "model.safetensors", "--dim", "8"});
  EXPECT_EQ(both.status, 2);
  EXPECT_THAT(both.err, HasSubstr("--dim"));
  EXPECT_EQ(run_ddpm({"info", "--size", "33", "--dim-mults", "1,2"}).status, 2);
  EXPECT_EQ(run_ddpm({"info", "--batch", "9223372036854775807"}).status, 2);
}

}  // namespace
}  // namespace ddpm::test
