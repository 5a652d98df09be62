#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "tests/cli/program.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// One line, of the form that the documentation promises.
void expect_refused(const std::vector<std::string>& arguments, int status,
                    const std::string& words) {
  const Outcome outcome = run_ddpm(arguments);
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_THAT(outcome.err, StartsWith("ddpm: "));
  EXPECT_THAT(outcome.err, HasSubstr(words));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

TEST(Usage, HelpNamesEveryCommand) {
  const Outcome outcome = run_ddpm({"--help"});
  EXPECT_EQ(outcome.status, 0);
  for (const char* command : {"train", "sample", "forward", "info", "data", "bench"}) {
    EXPECT_THAT(outcome.out, HasSubstr(std::string("\n  ") + command + " "));
  }
}

TEST(Usage, HelpAnswersAtOnce) {
  using Clock = std::chrono::steady_clock;
  double fastest = 1e9;  // others may be using the machine
  for (int i = 0; i < 10; ++i) {
    const Clock::time_point start = Clock::now();
    run_ddpm({"--help"});
    fastest = std::min(fastest, std::chrono::duration<double>(Clock::now() - start).count());
  }
  EXPECT_LT(fastest, 0.050);
}

TEST(Usage, EachCommandsHelpListsItsFlags) {
  const std::vector<std::vector<std::string>> contract = {
      {"train", "--data", "--out", "--size", "--dim", "--dim-mults", "--steps", "--batch", "--lr",
       "--seed", "--threads", "--schedule linear|cosine|sigmoid|quadratic", "--loss mse|l1|huber",
       "--save-every", "--sample-every", "--resume", "--config"},
      {"sample", "MODEL", "--n", "--sampler ddpm|ddim", "--steps", "--eta", "--seed", "--out",
       "--each", "--trajectory"},
      {"forward", "MODEL", "--in", "--out", "--groups", "--heads"},
      {"info", "MODEL", "--json", "--batch"},
      {"data", "SOURCE", "--out", "--size", "--channels", "--background"},
      {"bench", "--dim", "--dim-mults", "--size", "--batch", "--threads", "--json"}};
  for (const std::vector<std::string>& row : contract) {
    for (const auto& words :
         {std::vector<std::string>{row[0], "--help"}, std::vector<std::string>{"help", row[0]}}) {
      const Outcome outcome = run_ddpm(words);
      EXPECT_EQ(outcome.status, 0);
      EXPECT_THAT(outcome.out, HasSubstr("Examples:\n  ddpm " + row[0]));
      for (size_t i = 1; i < row.size(); ++i) EXPECT_THAT(outcome.out, HasSubstr("  " + row[i]));
    }
  }
}

TEST(Usage, VersionIsTold) {
  const Outcome outcome = run_ddpm({"--version"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, "ddpm " DDPM_TEST_VERSION "\n");
}

TEST(Usage, WithoutACommandThereIsHelpAndStatus2) {
  const Outcome outcome = run_ddpm({});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("Usage: ddpm COMMAND"));
}

TEST(Usage, MisspeltWordsAreCorrected) {
  expect_refused({"trian"}, 2, "there is no command 'trian'; did you mean train?");
  expect_refused({"conquer"}, 2, "there is no command 'conquer'; see ddpm --help");
  expect_refused({"train", "--stpes", "5"}, 2, "there is no flag --stpes; did you mean --steps?");
  expect_refused({"bench", "--colour=5"}, 2, "there is no flag --colour; see ddpm bench --help");
}

TEST(Usage, ArgumentsThatDoNotFitAreNamed) {
  expect_refused({"train"}, 2, "--out is required");
  expect_refused({"sample"}, 2, "MODEL is required");
  expect_refused({"sample", "a", "b", "--out", "c.png"}, 2, "'b' is one argument too many");
  expect_refused({"bench", "--batch"}, 2, "--batch");
  expect_refused({"bench", "--batch", "many"}, 2, "--batch is 'many', which is not a whole number");
  expect_refused({"bench", "--batch", "1.5"}, 2, "--batch is '1.5', which is not a whole number");
  expect_refused({"bench", "--batch", "99999999999999999999"}, 2, "not a whole number");
  expect_refused({"bench", "--dim-mults", "1,,2"}, 2, "not a list of whole numbers such as 1,2,4");
  expect_refused({"train", "--out", "x", "--lr", "fast"}, 2,
                 "--lr is 'fast', which is not a number");
  expect_refused({"train", "--out", "x", "--seed", "-1"}, 2, "a whole number of at least 0");
  expect_refused({"bench", "--batch", "2", "--batch", "3"}, 2, "--batch");
}

TEST(Usage, AnOutputThatCannotBeWrittenIsAnError) {
  Program program({"--help"}, {.output = "/dev/full"});
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("cannot write the output"));
}

}  // namespace
}  // namespace ddpm::test
