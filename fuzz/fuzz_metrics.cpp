// metrics.jsonl, as a resumed run reads and repairs it. A repaired file needs no further repair.
#include "ddpm/engine/run/metrics_log.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  constexpr int64_t kLastStep = 5;
  const MetricsText mended = mend_metrics(fuzz::text_of(data, size), kLastStep);
  fuzz::require(mended.text.size() <= size + 1, "nothing is added");
  fuzz::require(mended.text.empty() || mended.text.back() == '\n', "lines are whole");
  fuzz::require(mended.steps.size() == mended.losses.size(), "every step has a loss");
  for (size_t i = 0; i < mended.steps.size(); ++i) {
    fuzz::require(mended.steps[i] <= kLastStep, "later lines are removed");
    fuzz::require(i == 0 || mended.steps[i - 1] < mended.steps[i], "steps rise");
  }
  const MetricsText again = mend_metrics(mended.text, kLastStep);
  fuzz::require(again.text == mended.text && again.steps == mended.steps,
                "a repaired file needs no repair");
  return 0;
}
