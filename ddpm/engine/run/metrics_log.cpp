#include "ddpm/engine/run/metrics_log.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <utility>

#include "ddpm/base/disk.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/options.h"
#include "ddpm/base/retry.h"
#include "ddpm/data/image.h"
#include "ddpm/data/plot.h"

namespace ddpm {
namespace {

[[noreturn]] void fail_log(const char* doing, const std::string& path, int error) {
  fail_system("train", fmt::format("cannot {} {}: {}", doing, path, std::strerror(error)), error);
}

// The same limit as for the option `steps`.
constexpr int64_t kMostSteps = int64_t{1} << 40;

std::string metrics_path(const std::string& run) {
  return (std::filesystem::path(run) / "metrics.jsonl").string();
}

std::string read_metrics(const std::string& path) {
  constexpr uint64_t kMostBytes = uint64_t{1} << 32;
  if (!exists(path)) return "";
  if (!std::filesystem::is_regular_file(path))
    fail("train", fmt::format("{} is not a regular file", path));
  return read_file(path, kMostBytes);
}

struct Line {
  // Includes the line break.
  std::string_view text;
  int64_t step = 0;
  double loss = 0;
  std::optional<ValidationLoss> validation = std::nullopt;
};

constexpr const char *kLoss = "val_loss", *kByLevel = "val_by_level";

void write(const ValidationLoss& validation, JsonObject& line) {
  line.set(kLoss, json_value::write(validation.mean));
  line.set(kByLevel, json_value::write(validation.by_level));
}

std::optional<ValidationLoss> read_validation(const JsonObject& line) {
  const std::string *loss = line.find(kLoss), *by_level = line.find(kByLevel);
  if (loss == nullptr || by_level == nullptr) return std::nullopt;
  ValidationLoss validation;
  json_value::read(*loss, kLoss, validation.mean);
  json_value::read(*by_level, kByLevel, validation.by_level);
  if (validation.by_level.size() != static_cast<size_t>(Validation::kBins))
    fail("train", "a line of metrics.jsonl is damaged");
  return validation;
}

void add(int64_t step, const ValidationLoss& validation, ValidationCurve& curve) {
  curve.steps.push_back(step);
  curve.losses.push_back(validation.mean);
  curve.by_level.push_back(validation.by_level);
}

// Returns false if the line is damaged or not one of ours.
bool parse(Line& line) {
  try {
    const JsonObject object = JsonObject::parse(line.text, "a line");
    if (object.find("step") == nullptr || object.find("loss") == nullptr) return false;
    json_value::read(*object.find("step"), "step", line.step);
    json_value::read(*object.find("loss"), "loss", line.loss);
    line.validation = read_validation(object);
    return line.step > 0;
  } catch (const Error&) {
    return false;
  }
}

// The longest subsequence of lines with rising steps (by patience sorting). Because of this, one
// damaged step costs only one line.
std::vector<Line> longest_rising(const std::vector<Line>& lines) {
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  // For each length, the last line of the best subsequence.
  std::vector<size_t> ends;
  // For each line, the line before it in its subsequence.
  std::vector<size_t> previous(lines.size(), kNone);
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto place =
        std::lower_bound(ends.begin(), ends.end(), lines[i].step,
                         [&](size_t end, int64_t step) { return lines[end].step < step; });
    if (place != ends.begin()) previous[i] = *std::prev(place);
    if (place == ends.end()) {
      ends.push_back(i);
    } else {
      *place = i;
    }
  }
  std::vector<Line> kept;
  for (size_t i = ends.empty() ? kNone : ends.back(); i != kNone; i = previous[i])
    kept.push_back(lines[i]);
  std::reverse(kept.begin(), kept.end());
  return kept;
}

}  // namespace

MetricsText mend_metrics(std::string_view text, int64_t last_step) {
  std::vector<Line> lines;
  MetricsText mended;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string_view::npos;
       begin = end + 1) {
    Line line{.text = text.substr(begin, end + 1 - begin)};
    if (!parse(line)) {
      ++mended.damaged;
    } else if (line.step <= last_step) {
      lines.push_back(line);
    }
  }
  const std::vector<Line> kept = longest_rising(lines);
  mended.damaged += static_cast<int64_t>(lines.size() - kept.size());
  for (const Line& line : kept) {
    mended.text += line.text;
    mended.steps.push_back(line.step);
    mended.losses.push_back(line.loss);
    if (line.validation) add(line.step, *line.validation, mended.validation);
  }
  return mended;
}

int64_t MetricsLog::last_step(const std::string& run) {
  const MetricsText all = mend_metrics(read_metrics(metrics_path(run)), kMostSteps);
  return all.steps.empty() ? 0 : all.steps.back();
}

bool MetricsLog::is_foreign(const std::string& run) {
  const std::string text = read_metrics(metrics_path(run));
  return !text.empty() && mend_metrics(text, kMostSteps).steps.empty();
}

MetricsLog::MetricsLog(const std::string& run, int64_t last_step)
    : run_(run), path_(metrics_path(run)) {
  const std::string text = read_metrics(path_);
  MetricsText mended = mend_metrics(text, last_step);
  if (!exists(path_)) {
    write_file_atomic(path_, mended.text);
  } else if (mended.text != text) {
    // Cutting the file off needs no space.
    if (!text.starts_with(mended.text))
      write_file_atomic(path_, mended.text);
    else if (retry([&] { return truncate(path_.c_str(), std::ssize(mended.text)); }) != 0)
      fail_log("shorten", path_, errno);
  }
  size_ = std::ssize(mended.text);
  steps_ = std::move(mended.steps);
  losses_ = std::move(mended.losses);
  validation_ = std::move(mended.validation);
  damaged_ = mended.damaged;
  open_to_append();
}

void MetricsLog::open_to_append() {
  descriptor_ = retry([&] { return open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC); });
  if (descriptor_ < 0) fail_log("append to", path_, errno);
}

MetricsLog::~MetricsLog() {
  if (descriptor_ >= 0) close(descriptor_);
}

void MetricsLog::append(const StepMetrics& metrics, double images_per_s,
                        const std::optional<ValidationLoss>& validation) {
  JsonObject line;
  line.set("step", json_value::write(metrics.step));
  line.set("loss", json_value::write(metrics.loss));
  line.set("grad_norm", json_value::write(metrics.gradient_norm));
  line.set("lr", json_value::write(metrics.learning_rate));
  line.set("images_per_s", json_value::write(images_per_s));
  if (validation) ddpm::write(*validation, line);
  waiting_.push_back(line.dump(-1) + '\n');
  steps_.push_back(metrics.step);
  losses_.push_back(metrics.loss);
  if (validation) add(metrics.step, *validation, validation_);
  write_waiting();
  for (; waiting_.size() > kMostWaiting; ++lost_) waiting_.pop_front();
}

int MetricsLog::write_waiting() {
  while (!waiting_.empty()) {
    int error = 0;
    for (std::string_view rest = waiting_.front(); !rest.empty() && error == 0;) {
      const ssize_t written = retry([&] { return ::write(descriptor_, rest.data(), rest.size()); });
      if (written <= 0)
        error = written < 0 ? errno : ENOSPC;
      else
        rest.remove_prefix(static_cast<size_t>(written));
    }
    if (error != 0) {
      if (!is_disk_full(error)) fail_log("append to", path_, error);
      // A part of the line may have been written.
      if (retry([&] { return ftruncate(descriptor_, size_); }) != 0)
        fail_log("shorten", path_, errno);
      return error;
    }
    size_ += static_cast<int64_t>(waiting_.front().size());
    waiting_.pop_front();
  }
  return 0;
}

bool MetricsLog::lacks_validation(int64_t step) const {
  if (steps_.empty() || steps_.back() != step) return false;
  return validation_.steps.empty() || validation_.steps.back() != step;
}

void MetricsLog::add_validation(const ValidationLoss& validation) {
  DDPM_CHECK(!steps_.empty() && lacks_validation(steps_.back()));
  const auto amended = [&](std::string_view text) {
    JsonObject line = JsonObject::parse(text, path_);
    ddpm::write(validation, line);
    return line.dump(-1) + '\n';
  };
  if (!waiting_.empty()) {
    waiting_.back() = amended(waiting_.back());
  } else {
    std::string text = read_metrics(path_);
    const size_t before = text.rfind('\n', text.size() - 2);
    const size_t begin = before == std::string::npos ? 0 : before + 1;
    text.replace(begin, std::string::npos, amended(std::string_view(text).substr(begin)));
    // The file is replaced, so that it is whole at any time.
    write_file_atomic(path_, text);
    close(std::exchange(descriptor_, -1));
    open_to_append();
    size_ = std::ssize(text);
  }
  add(steps_.back(), validation, validation_);
}

void MetricsLog::sync() {
  if (const int error = write_waiting(); error != 0) fail_log("append to", path_, error);
  if (retry([&] { return fsync(descriptor_); }) != 0 && errno != EINVAL)
    fail_log("sync", path_, errno);
}

void MetricsLog::draw() const {
  const std::string path = (std::filesystem::path(run_) / "loss.png").string();
  write_file_atomic(
      path,
      render_svg(loss_curve_svg({.steps = steps_, .losses = losses_, .validation = validation_})));
}

}  // namespace ddpm
