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

}  // namespace
}  // namespace ddpm
