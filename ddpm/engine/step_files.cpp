#include "ddpm/engine/step_files.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include "ddpm/base/file.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kPrefix = "step-", kSuffix = ".safetensors";
constexpr char kCheckpoints[] = "checkpoints", kSnapshots[] = "snapshots";

std::string in_folder(const std::string& run, const char* folder, int64_t step) {
  return (fs::path(run) / folder / step_file_name(step)).string();
}

}  // namespace

std::string step_file_name(int64_t step) {
  return fmt::format("{}{:08}{}", kPrefix, step, kSuffix);
}

std::vector<StepFile> list_step_files(const std::string& folder) {
  std::vector<StepFile> found;
  if (!exists(folder)) return found;
  for (const std::string& name : list_names(folder)) {
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    if (name.size() < kPrefix.size() + kSuffix.size()) continue;
    const char* end = name.data() + name.size() - kSuffix.size();
    int64_t step = 0;
    const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, step);
    if (parsed.ec == std::errc() && parsed.ptr == end && step >= 0)
      found.push_back({step, (fs::path(folder) / name).string()});
  }
  std::sort(found.begin(), found.end(), [](const StepFile& a, const StepFile& b) {
    return std::pair(a.step, a.path) < std::pair(b.step, b.path);
  });
  return found;
}

std::string nearest_steps(const std::set<int64_t>& steps, int64_t asked) {
  constexpr size_t kNamed = 6;
  if (steps.empty()) return "none yet";
  std::vector<int64_t> near(steps.begin(), steps.end());
  std::stable_sort(near.begin(), near.end(),
                   [&](int64_t a, int64_t b) { return std::abs(a - asked) < std::abs(b - asked); });
  near.resize(std::min(near.size(), kNamed));
  std::sort(near.begin(), near.end());
  const std::string more = near.size() < steps.size() ? fmt::format(" (of {})", steps.size()) : "";
  return fmt::format("{}{}", fmt::join(near, ", "), more);
}

std::string checkpoint_path(const std::string& run, int64_t step) {
  return in_folder(run, kCheckpoints, step);
}

std::vector<StepFile> list_checkpoints(const std::string& run) {
  return list_step_files((fs::path(run) / kCheckpoints).string());
}

std::optional<std::string> newest_checkpoint(const std::string& run) {
  const auto all = list_checkpoints(run);
  if (all.empty()) return std::nullopt;
  return all.back().path;
}

std::string snapshot_path(const std::string& run, int64_t step) {
  return in_folder(run, kSnapshots, step);
}

std::vector<StepFile> list_snapshots(const std::string& run) {
  return list_step_files((fs::path(run) / kSnapshots).string());
}

}  // namespace ddpm
