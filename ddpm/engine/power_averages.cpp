#include "ddpm/engine/power_averages.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <set>
#include <string_view>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/json.h"
#include "ddpm/engine/step_files.h"
#include "ddpm/engine/weights.h"
#include "ddpm/io/safetensors.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
constexpr char kAverages[] = "averages";
constexpr std::string_view kWidthFolder = "width_";
constexpr char kWidthKey[] = "ddpm.average_width", kPicturesKey[] = "ddpm.pictures";
// Between these, refuse() looks for widths that can be made.
constexpr double kNarrowest = 0.005, kWidest = 0.28, kStep = 0.005;

// The metadata of a file. The id of its run goes to `run`.
KeptAverage read_kept(const SafetensorsFile& file, std::string& run) {
  const auto text = [&](const char* key) -> const std::string& {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end()) {
      fail("average", fmt::format("{} does not say its {}, so it is no average that a run kept; "
                                  "move it away",
                                  file.path(), key));
    }
    return found->second;
  };
  KeptAverage kept;
  json_value::read(text(kWidthKey), fmt::format("{} in {}", kWidthKey, file.path()), kept.width);
  json_value::read(text(kPicturesKey), fmt::format("{} in {}", kPicturesKey, file.path()),
                   kept.pictures);
  if (kept.pictures < 1) {
    fail("average", fmt::format("{} says that it is of {} pictures", file.path(), kept.pictures));
  }
  run = text(kRunKey);
  return kept;
}

std::vector<StepFile> kept_files(const std::string& run) {
  std::vector<StepFile> all;
  for (const std::string& folder : power_average_folders(run)) {
    const std::vector<StepFile> some = list_step_files(folder);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace

std::vector<double> parse_widths(const std::string& text) {
  if (text == "none") return {};
  if (text == "auto") return {0.05, 0.1};
  std::vector<double> widths;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    double width = 0;
    const auto read = std::from_chars(text.data() + begin, text.data() + end, width);
    if (read.ec != std::errc() || read.ptr != text.data() + end) {
      fail_usage("average", fmt::format("'{}' is not a list of widths such as 0.05,0.1", text));
    }
    power_gamma(width);
    if (std::find(widths.begin(), widths.end(), width) != widths.end())
      fail_usage("average", fmt::format("the width {} is given twice", width));
    widths.push_back(width);
    begin = end + 1;
  }
  return widths;
}

std::string average_path(const std::string& run, const std::string& name) {
  return (fs::path(run) / kAverages / (name + ".safetensors")).string();
}

std::string power_average_folder(const std::string& run, const std::string& name) {
  return (fs::path(run) / kAverages / name).string();
}

std::string power_average_path(const std::string& run, const std::string& name, int64_t step) {
  return (fs::path(power_average_folder(run, name)) / step_file_name(step)).string();
}

std::vector<std::string> power_average_folders(const std::string& run) {
  std::vector<std::string> folders;
  const std::string averages = (fs::path(run) / kAverages).string();
  if (!exists(averages)) return folders;
  for (const std::string& name : list_names(averages)) {
    if (!name.starts_with(kWidthFolder)) continue;
    const std::optional<FileStatus> found = find_file(power_average_folder(run, name));
    if (found && found->type == FileType::kFolder)
      folders.push_back(power_average_folder(run, name));
  }
  return folders;
}

std::map<std::string, std::string> KeptAverage::metadata() const {
  std::map<std::string, std::string> all = width_metadata(width);
  all[kPicturesKey] = json_value::write(pictures);
  return all;
}

std::map<std::string, std::string> width_metadata(double width) {
  return {{kWidthKey, json_value::write(width)}};
}

KeptAverages::KeptAverages(const std::string& run, int64_t step) : folder_(run) {
  if (!exists(run)) fail("average", fmt::format("{} does not exist; give a run directory", run));
  const std::vector<StepFile> all = kept_files(run);
  if (all.empty()) {
    fail_usage("average", fmt::format("{} keeps no power-function averages; a training with "
                                      "--power-average auto does",
                                      run));
  }
  std::set<int64_t> steps;
  for (const StepFile& file : all) steps.insert(file.step);
  step_ = step == 0 ? *steps.rbegin() : step;
  if (!steps.contains(step_)) {
    fail_usage("average", fmt::format("{} kept no averages at step {}; there are those of the "
                                      "steps {}",
                                      run, step_, nearest_steps(steps, step_)));
  }
  for (const StepFile& entry : all) {
    if (entry.step > step_) continue;
    const SafetensorsFile file = SafetensorsFile::open(entry.path);
    std::string id;
    const KeptAverage kept = read_kept(file, id);
    if (files_.empty()) run_ = id;
    if (id != run_) {
      fail("average", fmt::format("{} and {} belong to different runs; move those of the other "
                                  "run away",
                                  files_.front(), entry.path));
    }
    files_.push_back(entry.path);
    profiles_.push_back({static_cast<double>(kept.pictures), power_gamma(kept.width)});
  }
  const auto newest = std::find_if(all.begin(), all.end(),
                                   [&](const StepFile& file) { return file.step == step_; });
  config_ = load_model(newest->path, Device::kDry).config;
}

PowerProfile KeptAverages::wanted(double width) const {
  double time = 0;
  for (const PowerProfile& profile : profiles_) time = std::max(time, profile.time);
  return {time, power_gamma(width)};
}

std::vector<double> KeptAverages::coefficients(const PowerProfile& wanted) const {
  return post_hoc_coefficients(profiles_, wanted);
}

double KeptAverages::error(double width) const {
  const PowerProfile profile = wanted(width);
  return post_hoc_error(profiles_, coefficients(profile), profile);
}

void KeptAverages::refuse(double width) const {
  // "0.015 to 0.025, 0.230 to 0.270"
  std::string ranges;
  double begin = 0, end = 0;
  for (double each = kNarrowest; each < kWidest; each += kStep) {
    const bool fits = error(each) <= kMostError;
    if (fits) {
      if (begin == 0) begin = each;
      end = each;
    }
    if (begin > 0 && (!fits || each + kStep >= kWidest)) {
      ranges += fmt::format("{}{:.3f} to {:.3f}", ranges.empty() ? "" : ", ", begin, end);
      begin = 0;
    }
  }
  fail_usage("average",
             fmt::format("the width {} cannot be made of the {} averages that {} kept up to step "
                         "{}: the best combination is {:.0f} % off, and {:.0f} % is the most. {} "
                         "More averages (--power-average-every) make more widths possible",
                         width, count(), folder_, step_, 100 * error(width), 100 * kMostError,
                         ranges.empty() ? "Only the kept widths can be made."
                                        : fmt::format("Widths from {} can be made.", ranges)));
}

Model KeptAverages::make(double width, Device device) const {
  const PowerProfile profile = wanted(width);
  const std::vector<double> factors = coefficients(profile);
  if (!(post_hoc_error(profiles_, factors, profile) <= kMostError)) refuse(width);
  Model model{.config = config_, .trained_steps = step_};
  model.network = make_network(config_.network, device);
  std::vector<Tensor> weights = parameter_tensors(*model.network);
  std::vector<std::vector<double>> totals;
  for (const Tensor& weight : weights) totals.emplace_back(static_cast<size_t>(weight.elements()));
  for (size_t k = 0; k < files_.size(); ++k) {
    read_weights(SafetensorsFile::open(files_[k]), "", *model.network, weights);
    for (size_t i = 0; i < weights.size(); ++i) add_scaled(factors[k], weights[i], totals[i]);
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    float* to = weights[i].f32();
    for (size_t j = 0; j < totals[i].size(); ++j) to[j] = static_cast<float>(totals[i][j]);
  }
  return model;
}

}  // namespace ddpm
