#include "ddpm/engine/metrics_log.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/options.h"
#include "ddpm/data/image.h"
#include "ddpm/data/plot.h"

namespace ddpm {
namespace {

[[noreturn]] void fail_log(const char* doing, const std::string& path, int error) {
  fail_system("train", fmt::format("cannot {} {}: {}", doing, path, std::strerror(error)), error);
}

}  // namespace

MetricsText mend_metrics(std::string_view text, int64_t last_step) {
  MetricsText mended;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string_view::npos;
       begin = end + 1) {
    const std::string line(text.substr(begin, end - begin));
    int64_t step = 0;
    double loss = 0;
    try {
      const JsonObject object = JsonObject::parse(line, "a line");
      if (object.find("step") == nullptr || object.find("loss") == nullptr) continue;
      json_value::read(*object.find("step"), "step", step);
      json_value::read(*object.find("loss"), "loss", loss);
    } catch (const Error&) {
      continue;  // a line cut short when the machine went down
    }
    const int64_t before = mended.steps.empty() ? 0 : mended.steps.back();
    if (step <= before || step > last_step) continue;
    mended.text += line + '\n';
    mended.steps.push_back(step);
    mended.losses.push_back(loss);
  }
  return mended;
}

MetricsLog::MetricsLog(const std::string& run, int64_t last_step)
    : run_(run), path_((std::filesystem::path(run) / "metrics.jsonl").string()) {
  const std::string text = exists(path_) ? read_file(path_) : "";
  MetricsText mended = mend_metrics(text, last_step);
  if (mended.text != text || !exists(path_)) write_file_atomic(path_, mended.text);
  steps_ = std::move(mended.steps);
  losses_ = std::move(mended.losses);
  do {
    descriptor_ = open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) fail_log("append to", path_, errno);
}

MetricsLog::~MetricsLog() { close(descriptor_); }

void MetricsLog::append(const StepMetrics& metrics, double images_per_s) {
  JsonObject line;
  line.set("step", json_value::write(metrics.step));
  line.set("loss", json_value::write(metrics.loss));
  line.set("grad_norm", json_value::write(metrics.gradient_norm));
  line.set("lr", json_value::write(metrics.learning_rate));
  line.set("images_per_s", json_value::write(images_per_s));
  const std::string text = line.dump(-1) + '\n';
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t written = write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_log("append to", path_, written < 0 ? errno : ENOSPC);
    rest.remove_prefix(static_cast<size_t>(written));
  }
  steps_.push_back(metrics.step);
  losses_.push_back(metrics.loss);
}

void MetricsLog::sync() {
  int failed;
  do {
    failed = fsync(descriptor_);
  } while (failed != 0 && errno == EINTR);
  if (failed != 0 && errno != EINVAL) fail_log("sync", path_, errno);
}

void MetricsLog::draw() const {
  const std::string path = (std::filesystem::path(run_) / "loss.png").string();
  write_file_atomic(path, render_svg(loss_curve_svg({.steps = steps_, .losses = losses_})));
}

}  // namespace ddpm
