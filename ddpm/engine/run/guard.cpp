#include "ddpm/engine/run/guard.h"

#include <algorithm>
#include <string_view>

#include "ddpm/base/disk.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/json.h"
#include "ddpm/engine/run/directory.h"

namespace ddpm {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 30;

template <class Value>
Value value_of(const JsonObject& line, const char* key) {
  const std::string* json = line.find(key);
  if (json == nullptr) fail("train", "a line of guard.jsonl is damaged");
  Value value{};
  json_value::read(*json, key, value);
  return value;
}

}  // namespace

Guard::Guard(const std::string& run) : path_(in_run(run, "guard.jsonl")) {
  if (!exists(path_)) return;
  const std::string text = read_file(path_, kMostBytes);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    try {
      read_line(std::string_view(text).substr(begin, end - begin));
    } catch (const Error&) {
      ++damaged_;
    }
    begin = end + 1;
  }
}

void Guard::read_line(std::string_view text) {
  const JsonObject line = JsonObject::parse(text, "a line");
  const auto step = value_of<int64_t>(line, "step");
  if (value_of<std::string>(line, "event") == "skipped") {
    skipped_[step] = value_of<std::string>(line, "why");
  } else {
    const auto to = value_of<int64_t>(line, "to");
    const auto rate = value_of<double>(line, "rate");
    if (!(to >= 0 && to < step && rate > 0 && rate <= 1))
      fail("train", "a line of guard.jsonl is damaged");
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
  append(line.dump(-1));
  skipped_[step] = why;
}

void Guard::returned(int64_t from, int64_t to) {
  const double rate = this->rate(to + 1) / 2;
  JsonObject line;
  line.set("step", json_value::write(from));
  line.set("event", json_value::write(std::string("returned")));
  line.set("to", json_value::write(to));
  line.set("rate", json_value::write(rate));
  append(line.dump(-1));
  apply_return(to, rate);
}

void Guard::append(const std::string& line) {
  waiting_ += line + '\n';
  try {
    sync();
  } catch (const SystemError& error) {
    if (!is_disk_full(error.code())) throw;
  }
}

void Guard::sync() {
  if (waiting_.empty()) return;
  std::string text = exists(path_) ? read_file(path_, kMostBytes) : "";
  if (!text.empty() && text.back() != '\n') text += '\n';
  write_file_atomic(path_, text + waiting_);
  waiting_.clear();
}

}  // namespace ddpm
