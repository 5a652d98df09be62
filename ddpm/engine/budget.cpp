#include "ddpm/engine/budget.h"

#include <fmt/core.h>

#include <string_view>

#include "ddpm/base/duration.h"
#include "ddpm/base/error.h"

namespace ddpm {

std::optional<Budget> parse_budget(const std::string& text) {
  constexpr std::string_view kRepeat = "repeat:";
  if (text.empty() || text == "none") return std::nullopt;
  if (!text.starts_with(kRepeat))
    return Budget{.seconds = parse_duration(text, "train", "--budget"), .repeated = ""};
  Budget budget{.seconds = std::nullopt, .repeated = text.substr(kRepeat.size())};
  if (budget.repeated.empty()) {
    fail_usage("train",
               fmt::format("--budget is {}, but a file must follow: the clock.jsonl of the run "
                           "that is repeated, such as {}RUN/clock.jsonl",
                           text, kRepeat));
  }
  return budget;
}

void check_same_end(const std::string& before, const std::string& now) {
  const std::optional<Budget> started = parse_budget(before), asked = parse_budget(now);
  const auto refuse = [](const std::string& why) { fail_usage("train", why); };
  if (started && !asked) {
    refuse(
        fmt::format("the run was started with --budget {} and ends by the clock, so it cannot "
                    "be resumed with --budget {}; leave the option out, or give another time",
                    before, now.empty() ? "\"\"" : now));
  }
  if (!started && asked) {
    refuse(
        fmt::format("the run was started without a budget and ends after its steps, so it "
                    "cannot be resumed with --budget {}; give another number of --steps",
                    now));
  }
  if (asked && !asked->seconds && before != now) {
    refuse(
        fmt::format("the run was started with --budget {}, so it cannot be resumed with "
                    "--budget {}; only a new run can repeat another one",
                    before, now));
  }
}

}  // namespace ddpm
