#include "ddpm/engine/run/evaluations.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

#include "ddpm/base/disk.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/json.h"
#include "ddpm/data/image.h"
#include "ddpm/data/plot.h"
#include "ddpm/engine/drawn_pictures.h"
#include "ddpm/engine/evaluator.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/eval/features.h"

namespace ddpm {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 28;

std::string line_of(const RunEvaluation& evaluation) {
  JsonObject line;
  line.set("step", json_value::write(evaluation.step));
  line.set("frechet", json_value::write(evaluation.frechet));
  line.set("n", json_value::write(evaluation.count));
  line.set("features", json_value::write(evaluation.features));
  return line.dump(-1) + "\n";
}

// Nothing if the line is damaged.
std::optional<RunEvaluation> read_line(std::string_view text) {
  try {
    const JsonObject line = JsonObject::parse(text, "a line");
    RunEvaluation evaluation;
    const auto read = [&line](const char* key, auto& value) {
      const std::string* json = line.find(key);
      if (json == nullptr) fail("train", "a line of eval.jsonl is damaged");
      json_value::read(*json, key, value);
    };
    read("step", evaluation.step);
    read("frechet", evaluation.frechet);
    read("n", evaluation.count);
    read("features", evaluation.features);
    return evaluation;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

EvaluationLog::EvaluationLog(const std::string& run, int64_t last_step) : run_(run) {
  const std::string path = in_run(run, "eval.jsonl");
  if (!exists(path)) return;
  const std::string text = read_file(path, kMostBytes);
  std::string kept;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const auto line = read_line(std::string_view(text).substr(begin, end - begin));
    const int64_t before = all_.empty() ? 0 : all_.back().step;
    if (line && line->step > before && line->step <= last_step) {
      all_.push_back(*line);
      kept += line_of(*line);
    }
    begin = end + 1;
  }
  if (kept == text) return;
  try {
    write();
  } catch (const SystemError& error) {
    // The next evaluation writes the file again.
    if (!is_disk_full(error.code())) throw;
  }
}

bool EvaluationLog::has(int64_t step) const {
  return std::any_of(all_.begin(), all_.end(),
                     [step](const RunEvaluation& each) { return each.step == step; });
}

bool EvaluationLog::would_be_best(const RunEvaluation& evaluation) const {
  return std::all_of(all_.begin(), all_.end(), [&evaluation](const RunEvaluation& each) {
    const bool comparable = each.count == evaluation.count && each.features == evaluation.features;
    return !comparable || evaluation.frechet < each.frechet;
  });
}

void EvaluationLog::add(const RunEvaluation& evaluation) {
  if (!has(evaluation.step)) all_.push_back(evaluation);
  write();
}

void EvaluationLog::write() const {
  std::string text;
  LossCurve curve{.title = "Frechet distance"};
  for (const RunEvaluation& each : all_) {
    text += line_of(each);
    curve.steps.push_back(each.step);
    curve.losses.push_back(each.frechet);
  }
  write_file_atomic(in_run(run_, "eval.png"), render_svg(loss_curve_svg(curve)));
  write_file_atomic(in_run(run_, "eval.jsonl"), text);
}

std::string RunJudge::features() const { return random_features()->name(); }

std::string RunJudge::doubt() const {
  const int64_t width = random_features()->width(), fewest = std::min(count_, pictures_->size());
  if (fewest > width) return "";
  return fmt::format(
      "the Frechet distances in eval.jsonl are too large, because there are {} {} "
      "pictures for {} features; at least {} are needed",
      fewest, count_ <= pictures_->size() ? "drawn" : "training", width, width + 1);
}

double RunJudge::frechet(const Network& network, const ModelConfig& config, DrawingRanks* ranks,
                         const std::function<bool()>& stopping) {
  const std::unique_ptr<FeatureNetwork> features = random_features();
  if (!real_) real_ = feature_statistics(real_features(*features, *pictures_));
  // As ddpm eval draws, but for the memory that the training needs.
  GenerateOptions options{.count = count_, .ranks = ranks, .prepare_weights = false};
  options.progress = [&](const GenerateProgress&) { return !stopping || !stopping(); };
  const auto drawn = drawn_pictures(network, config, options, pictures_);
  return frechet_distance(*real_, feature_statistics(drawn_features(*features, *drawn)));
}

}  // namespace ddpm
