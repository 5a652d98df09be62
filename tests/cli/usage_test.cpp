#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "tests/cli/program.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The message is one line in the form that the documentation promises.
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
  // The fastest of several runs, because other programs may use the machine.
  double fastest = 1e9;
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
      {"sample", "MODEL", "--n", "--sampler auto|ddpm|ddim", "--steps", "--eta", "--seed", "--out",
       "--each", "--trajectory"},
      {"forward", "MODEL", "--in", "--out", "--groups", "--heads", "--dim-head", "--theta"},
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
  expect_refused({"train", "--checkpointin"}, 2, "did you mean --checkpointing?");
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

TEST(Usage, SwitchesTakeTrueAndFalse) {
  for (const char* word :
       {"--flip=maybe", "--flip=yess", "--flip=2", "--flip=-1", "--flip=", "--no-flip=maybe"}) {
    const std::string name = std::string(word).substr(0, std::string(word).find('='));
    expect_refused({"train", "--out", "x", word}, 2, name + " is '");
  }
  expect_refused({"train", "--out", "x", "--resume=abc"}, 2,
                 "--resume is 'abc', which is not true or false");
  expect_refused({"bench", "--json=x"}, 2, "--json is 'x', which is not true or false");
  expect_refused({"train", "--out", "x", "--flip", "--no-flip"}, 2, "--flip is given twice");
  expect_refused({"train", "--help=x"}, 2, "--help takes no value");
  // These flags are accepted: the error is only about the missing data.
  for (const char* word : {"--flip=true", "--flip=No", "--flip=ON", "--flip=0", "--no-flip=off"}) {
    expect_refused({"train", "--out", "x", word}, 2, "no data given");
  }
}

TEST(Usage, ASwitchSetToFalseIsOff) {
  const Outcome outcome = run_ddpm({"bench", "--dim", "8", "--dim-mults", "1", "--size", "8",
                                    "--batch", "1", "--repetitions", "1", "--json=off"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("training step"));
}

TEST(Usage, ValuesThatAreMissingAreNamed) {
  expect_refused({"bench", "--batch"}, 2, "--batch needs a value, N");
  expect_refused({"bench", "--batch="}, 2, "--batch needs a value, N");
  expect_refused({"bench", "--batch", ""}, 2, "--batch needs a value, N");
  expect_refused({"data", "x", "--out", ""}, 2, "--out needs a value, FILE.png");
  expect_refused({"data", "", "--out", "x.png"}, 2, "SOURCE needs a value");
  expect_refused({"bench", "--batch", "2", "--batch", "3"}, 2, "--batch is given 2 times");
}

TEST(Usage, HelpSaysWhichFlagsAreForBareStateDicts) {
  for (const char* command : {"sample", "forward"}) {
    const std::string help = run_ddpm({command, "--help"}).out;
    const size_t heading = help.find("For files without this information (bare state dicts)");
    ASSERT_NE(heading, help.npos) << command;
    EXPECT_GT(help.find("--schedule"), heading) << command;
  }
}

TEST(Usage, NumbersAreWhatTheyLookLike) {
  for (const char* text : {"1e3", "0x10", " 5", "5 ", "5=6", "1.0", "five", "--5"}) {
    expect_refused({"bench", std::string("--batch=") + text}, 2,
                   std::string("--batch is '") + text + "', which is not a whole number");
  }
  expect_refused({"bench", "--batch", "9223372036854775808"}, 2,
                 "which is not a whole number from -9223372036854775808 to 9223372036854775807");
  expect_refused({"train", "--out", "x", "--seed", "18446744073709551616"}, 2,
                 "which is not a whole number from 0 to 18446744073709551615");
  for (const char* text : {"nan", "inf", "-inf"}) {
    expect_refused({"train", "--out", "x", std::string("--lr=") + text}, 2,
                   std::string("--lr is '") + text + "', which is not a finite number");
  }
  for (const char* text : {"1e999", "1e-999", "1,5", "0x1p3"}) {
    expect_refused({"train", "--out", "x", std::string("--lr=") + text}, 2,
                   std::string("--lr is '") + text + "', which is not a number");
  }
  for (const char* text : {"1,,2", ",1", "1,", "1;2", "1, 2", "[1,2]", "9223372036854775808"}) {
    expect_refused({"bench", std::string("--dim-mults=") + text}, 2,
                   "which is not a list of whole numbers such as 1,2,4");
  }
}

TEST(Usage, AnOutputThatCannotBeWrittenIsAnError) {
  Program program({"--help"}, {.output = "/dev/full"});
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("cannot write the output"));
}

}  // namespace
}  // namespace ddpm::test
