#include "ddpm/engine/metrics_log.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/options.h"
#include "ddpm/data/image.h"
#include "ddpm/data/plot.h"

namespace ddpm {
namespace {

std::string metrics_path(const std::string& run) {
  return (std::filesystem::path(run) / "metrics.jsonl").string();
}

}  // namespace

MetricsLog::MetricsLog(const std::string& run, int64_t last_step) : run_(run) {
  const std::string path = metrics_path(run);
  std::string kept;
  if (std::filesystem::exists(path)) {
    const std::string text = read_file(path);
    for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
      const std::string line = text.substr(begin, end - begin);
      int64_t step = 0;
      double loss = 0;
      try {
        const JsonObject object = JsonObject::parse(line, path);
        if (object.find("step") == nullptr || object.find("loss") == nullptr) continue;
        json_value::read(*object.find("step"), "step", step);
        json_value::read(*object.find("loss"), "loss", loss);
      } catch (const Error&) {
        continue;  // a line cut short when the machine went down
      }
      if (step > last_step) continue;
      kept += line + '\n';
      steps_.push_back(step);
      losses_.push_back(loss);
    }
  }
  write_file_atomic(path, kept);
}

void MetricsLog::append(const StepMetrics& metrics, double images_per_s) {
  JsonObject line;
  line.set("step", json_value::write(metrics.step));
  line.set("loss", json_value::write(metrics.loss));
  line.set("grad_norm", json_value::write(metrics.gradient_norm));
  line.set("lr", json_value::write(metrics.learning_rate));
  line.set("images_per_s", json_value::write(images_per_s));
  const std::string text = line.dump(-1) + '\n';
  const std::string path = metrics_path(run_);
  std::FILE* file = std::fopen(path.c_str(), "ab");
  bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr) written = std::fclose(file) == 0 && written;
  if (!written) fail("train", fmt::format("cannot append to {}: {}", path, std::strerror(errno)));
  steps_.push_back(metrics.step);
  losses_.push_back(metrics.loss);
}

void MetricsLog::draw() const {
  const std::string path = (std::filesystem::path(run_) / "loss.png").string();
  write_file_atomic(path, render_svg(loss_curve_svg({.steps = steps_, .losses = losses_})));
}

}  // namespace ddpm
