// The memory that `ddpm train` announces before its first step, compared with what it then takes.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>

#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

using Words = std::vector<std::string>;

// "1.05 GB of memory" -> 1.05e9. -1 if there is none.
double announced(const std::string& text) {
  std::smatch match;
  if (!std::regex_search(text, match, std::regex(R"(([0-9.]+) (k|M|G)?B of memory)"))) return -1;
  const std::string unit = match[2];
  return std::stod(match[1]) * (unit == "G" ? 1e9 : unit == "M" ? 1e6 : unit == "k" ? 1e3 : 1);
}

// A training set in the format of MNIST.
void write_digits(const std::string& path, int32_t count, int32_t side) {
  std::ofstream file(path, std::ios::binary);
  for (const int32_t number : {0x803, count, side, side}) {
    for (const int shift : {24, 16, 8, 0}) file.put(static_cast<char>(number >> shift));
  }
  const std::string picture(static_cast<size_t>(side) * static_cast<size_t>(side), '\x55');
  for (int32_t i = 0; i < count; ++i) file << picture;
}

class RunMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "a sanitizer takes memory of its own";
    make_pictures(folder_ / "pictures", 6);
  }

  // With default values for flags that are not among them.
  Words words(const Words& more) const {
    Words words = {"train", "--out", folder_ / "run", "--recipe", "tutorial"};
    const std::pair<std::string, std::string> defaults[] = {{"--data", folder_ / "pictures"},
                                                            {"--steps", "3"},
                                                            {"--timesteps", "10"},
                                                            {"--threads", "2"},
                                                            {"--size", "32"},
                                                            {"--dim-mults", "1,2"},
                                                            {"--sample-steps", "2"}};
    for (const auto& [flag, value] : defaults) {
      if (std::find(more.begin(), more.end(), flag) == more.end())
        words.insert(words.end(), {flag, value});
    }
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  // Within a tenth or 24 MB.
  void expect_as_announced(const Words& more) {
    std::filesystem::remove_all(folder_ / "run");
    const Outcome outcome = run_ddpm(words(more));
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const double told = announced(outcome.err);
    ASSERT_GT(told, 0) << outcome.err;
    const auto taken = static_cast<double>(outcome.peak_bytes);
    EXPECT_LT(std::abs(told - taken), std::max(0.1 * taken, 24e6))
        << ::testing::PrintToString(more)
        << fmt::format(" announced {:.0f} MB, took {:.0f} MB", told / 1e6, taken / 1e6);
    RecordProperty("announced_MB", fmt::format("{:.1f}", told / 1e6));
    RecordProperty("taken_MB", fmt::format("{:.1f}", taken / 1e6));
  }

  TemporaryFolder folder_;
};

TEST_F(RunMemoryTest, OfTheTutorialsNetwork) {
  expect_as_announced({"--dim", "32", "--batch", "64"});
}
TEST_F(RunMemoryTest, OfLucidrainsWithFullAttention) {
  expect_as_announced(
      {"--network", "lucidrains", "--full-attn", "1", "--dim", "16", "--batch", "16"});
}
TEST_F(RunMemoryTest, OfSelfCondition) {
  expect_as_announced(
      {"--network", "lucidrains", "--self-condition", "--dim", "16", "--batch", "16"});
}
TEST_F(RunMemoryTest, OfRecompute) {
  expect_as_announced({"--dim", "32", "--batch", "32", "--recompute"});
}
TEST_F(RunMemoryTest, OfMicroBatches) {
  expect_as_announced({"--dim", "32", "--batch", "32", "--micro-batch", "4"});
}
TEST_F(RunMemoryTest, OfOneLargePicture) {
  expect_as_announced({"--dim", "16", "--batch", "1", "--size", "64"});
}
TEST_F(RunMemoryTest, OfManySmallPictures) {
  expect_as_announced({"--dim", "32", "--batch", "64", "--size", "16", "--sample-every", "0"});
}
TEST_F(RunMemoryTest, OfMuon) {
  expect_as_announced({"--dim", "64", "--batch", "4", "--size", "16", "--optimizer", "muon"});
}
TEST_F(RunMemoryTest, OfSoap) {
  expect_as_announced({"--dim", "64", "--batch", "4", "--size", "16", "--optimizer", "soap"});
}
TEST_F(RunMemoryTest, OfALearnedVariance) {
  expect_as_announced({"--dim", "16", "--batch", "16", "--learned-variance"});
}
TEST_F(RunMemoryTest, OfManyPictures) {
  write_digits(folder_ / "train-images-idx3-ubyte", 150'000, 28);
  expect_as_announced(
      {"--dim", "8", "--batch", "4", "--size", "28", "--data", "mnist:" + folder_.path()});
}
TEST_F(RunMemoryTest, OfGridsLargerThanSteps) {
  expect_as_announced({"--dim", "8", "--batch", "1", "--size", "64", "--sample-count", "48"});
}
TEST_F(RunMemoryTest, OfEvaluations) {
  expect_as_announced(
      {"--dim", "8", "--batch", "1", "--size", "16", "--eval-every", "2", "--eval-n", "64"});
}

TEST_F(RunMemoryTest, OfValidations) {
  make_pictures(folder_ / "pictures", 20);
  expect_as_announced({"--dim", "32", "--batch", "1", "--size", "64", "--validation", "0.4",
                       "--validate-every", "1", "--sample-every", "0", "--tensorboard"});
}

// Whatever the limit is: a run is refused at once, or it ends well.
TEST_F(RunMemoryTest, WhatIsSaidToFitFits) {
  int refused = 0, done = 0;
  for (rlim_t megabytes = 300; megabytes <= 700; megabytes += 50) {
    std::filesystem::remove_all(folder_ / "run");
    Program program(words({"--dim", "32", "--batch", "16"}), {.prepare = [&] {
                      const rlimit limit{megabytes << 20, megabytes << 20};
                      setrlimit(RLIMIT_AS, &limit);
                    }});
    const Outcome outcome = program.wait();
    EXPECT_TRUE(outcome.status == 0 || outcome.status == 2)
        << megabytes << " MB: " << outcome.status << " " << outcome.err;
    (outcome.status == 0 ? done : refused) += 1;
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(done, 0);
}

}  // namespace
}  // namespace ddpm::test
