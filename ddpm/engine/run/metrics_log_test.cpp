#include "ddpm/engine/run/metrics_log.h"

#include <gtest/gtest.h>

#include "ddpm/base/file.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

std::string line(int64_t step) { return "{\"step\":" + std::to_string(step) + ",\"loss\":0.5}\n"; }

TEST(MetricsLog, GoodLinesAreKeptAsTheyAre) {
  const std::string text = line(1) + line(2) + line(10);
  EXPECT_EQ(mend_metrics(text, 10).text, text);
  EXPECT_EQ(mend_metrics(text, 10).steps, (std::vector<int64_t>{1, 2, 10}));
}

TEST(MetricsLog, LinesAfterTheLastStepAreLeftOut) {
  EXPECT_EQ(mend_metrics(line(1) + line(2) + line(3), 2).text, line(1) + line(2));
}

TEST(MetricsLog, DamagedLinesAreLeftOut) {
  EXPECT_EQ(
      mend_metrics(line(1) + "{\"step\":2,\"lo\n" + "nonsense\n[1]\n" + line(3) + "{\"st", 9).text,
      line(1) + line(3));
  EXPECT_EQ(mend_metrics(std::string(5, '\0') + "\n" + line(1), 9).text, line(1));
  EXPECT_EQ(mend_metrics("{\"step\":\"1\",\"loss\":2}\n{\"loss\":2}\n", 9).text, "");
}

TEST(MetricsLog, EachStepIsKeptOnceAndInOrder) {
  EXPECT_EQ(mend_metrics(line(1) + line(2) + line(2) + line(1) + line(3), 9).text,
            line(1) + line(2) + line(3));
}

TEST(MetricsLog, ADamagedStepCostsOneLineAndIsCounted) {
  const MetricsText mended = mend_metrics(line(1) + line(7) + line(3) + line(4) + line(20), 9);
  EXPECT_EQ(mended.text, line(1) + line(3) + line(4));
  // The line after the last step does not count as damaged.
  EXPECT_EQ(mended.damaged, 1);
}

TEST(MetricsLog, AppendsToWhatIsThere) {
  const test::TemporaryFolder run;
  write_file_atomic(run / "metrics.jsonl", line(1) + line(2) + "{\"step\":3,");
  MetricsLog log(run.path(), 2);
  log.append({.step = 3, .loss = 0.25, .gradient_norm = 1, .learning_rate = 2}, 8);
  log.sync();
  EXPECT_EQ(read_file(run / "metrics.jsonl"),
            line(1) + line(2) +
                "{\"step\":3,\"loss\":0.25,\"grad_norm\":1.0,\"lr\":2.0,\"images_per_s\":8.0}\n");
}

TEST(MetricsLog, AddsAValidationToTheLastLine) {
  const test::TemporaryFolder run;
  write_file_atomic(run / "metrics.jsonl", line(1));
  const ValidationLoss validation{.mean = 0.5, .by_level = {1, 2, 3, 4, 5, 6, 7, 8}};
  const std::string text =
      ",\"val_loss\":0.5,\"val_by_level\":[1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0]}\n";
  std::string wanted = line(1).substr(0, line(1).size() - 2) + text;
  {
    MetricsLog log(run.path(), 1);
    EXPECT_TRUE(log.lacks_validation(1));
    EXPECT_FALSE(log.lacks_validation(2));
    log.add_validation(validation);
    EXPECT_FALSE(log.lacks_validation(1));
    EXPECT_EQ(read_file(run / "metrics.jsonl"), wanted);
    log.append({.step = 2, .loss = 0.5}, 8);
    EXPECT_TRUE(log.lacks_validation(2));
    log.append({.step = 3, .loss = 0.5}, 8, validation);
    EXPECT_FALSE(log.lacks_validation(3));
  }
  wanted = read_file(run / "metrics.jsonl");
  const MetricsText mended = mend_metrics(wanted +
                                              "{\"step\":4,\"loss\":1,\"val_loss\":2,"
                                              "\"val_by_level\":[1]}\n",
                                          9);
  EXPECT_EQ(mended.text, wanted);
  EXPECT_EQ(mended.damaged, 1);
  EXPECT_EQ(mended.validation.steps, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(mended.validation.by_level[1], validation.by_level);
}

}  // namespace
}  // namespace ddpm
