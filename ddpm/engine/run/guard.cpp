#include "ddpm/engine/run/guard.h"

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/base/json.h"
#include "ddpm/engine/run/directory.h"

namespace ddpm {

Guard::Guard(const std::string& run) : log_(in_run(run, "guard.jsonl")) {
  damaged_ = log_.read([this](const JsonObject& line) { use(line); });
}

void Guard::use(const JsonObject& line) {
  const auto step = value_in<int64_t>(line, "step");
  if (value_in<std::string>(line, "event") == "skipped") {
    skipped_[step] = value_in<std::string>(line, "why");
  } else {
    const auto to = value_in<int64_t>(line, "to");
    const auto rate = value_in<double>(line, "rate");
    if (!(to >= 0 && to < step && rate > 0 && rate <= 1))
      fail("train", "a return in a line of guard.jsonl cannot be");
    apply_return(to, rate);
  }
}

void Guard::apply_return(int64_t to, double rate) {
  skipped_.erase(skipped_.upper_bound(to), skipped_.end());
  rates_.erase(rates_.upper_bound(to), rates_.end());
  rates_[to + 1] = rate;
  returns_.push_back(to);
}

std::string Guard::why(int64_t step) const {
  const auto found = skipped_.find(step);
  return found == skipped_.end() ? "" : found->second;
}

double Guard::rate(int64_t step) const {
  const auto after = rates_.upper_bound(step);
  return after == rates_.begin() ? 1 : std::prev(after)->second;
}

int Guard::in_a_row(int64_t step) const {
  int count = 0;
  while (skipped_.contains(step - 1 - count)) ++count;
  return count;
}

int Guard::returns_to(int64_t step) const {
  return static_cast<int>(std::count(returns_.begin(), returns_.end(), step));
}

void Guard::skipped(int64_t step, const std::string& why,
                    const std::vector<std::string>& pictures) {
  JsonObject line;
  line.set("step", json_value::write(step));
  line.set("event", json_value::write(std::string("skipped")));
  line.set("why", json_value::write(why));
  line.set("pictures", json_value::write(pictures));
  log_.append(line);
  skipped_[step] = why;
}

void Guard::returned(int64_t from, int64_t to) {
  const double rate = this->rate(to + 1) / 2;
  JsonObject line;
  line.set("step", json_value::write(from));
  line.set("event", json_value::write(std::string("returned")));
  line.set("to", json_value::write(to));
  line.set("rate", json_value::write(rate));
  log_.append(line);
  apply_return(to, rate);
}

}  // namespace ddpm
