#include "ddpm/engine/training_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "ddpm/base/duration.h"
#include "ddpm/base/error.h"
#include "ddpm/engine/cost.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/nn/network_size.h"

namespace ddpm {
namespace {

// The share of the time that one measurement of a network may take.
constexpr double kMeasuring = 0.01;
// The share of the time that is left for steps, beside saves, grids and measurements.
constexpr double kForSteps = 0.9;
// With fewer steps than this the batch is halved, down to the smallest one.
constexpr int64_t kFewSteps = 1000, kSmallestBatch = 16;
// Saves and grids in the whole time, and the fewest and the most seconds between them.
constexpr double kSaves = 20, kShortestUnsaved = 10, kLongestUnsaved = 1800;
constexpr double kGrids = 10, kShortestWithoutGrid = 30;
// The share of the steps over which the learning rate may rise.
constexpr double kWarmup = 0.05;

// A size of network_sizes(), and the fewest pictures that it must see to be better than the size
// before it. That of small is measured (docs/recipes.md); those of base and large are estimates.
struct PlannedSize {
  const char* name;
  int64_t least_pictures;
};
constexpr PlannedSize kSizes[] = {
    {"tiny", 0}, {"small", 150'000}, {"base", 400'000}, {"large", 1'000'000}};

constexpr const char* kNetworkFields[] = {"network",          "dim",    "dim_mults",
                                          "init_dim",         "heads",  "dim_head",
                                          "attention_levels", "groups", "full_attn"};

// Steps of one size of batch on one network.
struct Speed {
  double seconds = 0;
  int64_t steps = 0;
};

class Planner {
 public:
  Planner(const TrainOptions& options, const ModelConfig& model, const PlanRequest& request,
          const StepTimer& timer)
      : model_(model), request_(request), timer_(timer), plan_{.options = options, .reasons = {}} {}

  TrainingPlan make();

 private:
  bool chosen(std::string_view field) const { return request_.chosen && request_.chosen(field); }
  bool network_is_chosen() const {
    return std::ranges::any_of(kNetworkFields, [this](const char* name) { return chosen(name); });
  }
  OptimizerOptions& training() { return plan_.options.optimizer; }

  bool fits(const ModelConfig& model) const {
    return training_bytes(model, plan_.options.optimizer) < available_to_tensors().bytes;
  }
  Speed speed_of(const ModelConfig& model) {
    OptimizerOptions part = training();
    if (request_.ranks > 1) {
      part.batch = std::max<int64_t>(part.batch / request_.ranks, 1);
      if (part.reduce == "exact" && part.micro_batch == 0) part.micro_batch = part.kChunk;
    }
    const double seconds = timer_(
        model, part, {.seconds = kMeasuring * request_.seconds, .stopping = request_.stopping});
    const double steps = kForSteps * request_.seconds / seconds;
    return {.seconds = seconds, .steps = static_cast<int64_t>(steps)};
  }
  void choose_network();
  void choose_batch();
  void choose_averages();
  void choose_saves();
  void say(std::string text) { plan_.reasons.push_back(std::move(text)); }

  ModelConfig model_;
  const PlanRequest& request_;
  const StepTimer& timer_;
  TrainingPlan plan_;
  Speed speed_;
};

ModelConfig resized(ModelConfig model, const PlannedSize& size) {
  set_network_size(model.network, size.name, model.height, model.width);
  return model;
}

// The largest size that sees enough pictures. Each is measured, as the next one takes longer.
void Planner::choose_network() {
  const PlannedSize* best = nullptr;
  std::string why_no_larger = "it is the largest";
  for (const PlannedSize& size : kSizes) {
    const ModelConfig model = resized(model_, size);
    if (best != nullptr) {
      const double growth = estimate_cost(model, 1).forward_flops /
                            estimate_cost(resized(model_, *best), 1).forward_flops;
      const double seen = static_cast<double>(speed_.steps * training().batch) / growth;
      if (seen < static_cast<double>(size.least_pictures) / 2) {
        why_no_larger = fmt::format("{} would see about {:.2g} pictures, and needs {:.2g}",
                                    size.name, seen, static_cast<double>(size.least_pictures));
        break;
      }
      if (!fits(model)) {
        why_no_larger = fmt::format("a step of {} does not fit into the memory", size.name);
        break;
      }
    }
    const Speed speed = speed_of(model);
    const int64_t seen = speed.steps * training().batch;
    if (best != nullptr && seen < size.least_pictures) {
      why_no_larger =
          fmt::format("{} would see {:.2g} pictures, and needs {:.2g}", size.name,
                      static_cast<double>(seen), static_cast<double>(size.least_pictures));
      break;
    }
    best = &size;
    speed_ = speed;
  }
  const int64_t left_out =
      set_network_size(plan_.options.network, best->name, model_.height, model_.width);
  model_ = resized(model_, *best);
  say(fmt::format("the network {}: {}", best->name, why_no_larger));
  if (left_out > 0) {
    say(
        fmt::format("{} fewer level{} than usual, because the sides {} and {} of the pictures "
                    "cannot be halved more often",
                    left_out, left_out == 1 ? "" : "s", model_.height, model_.width));
  }
}

void Planner::choose_batch() {
  const int64_t before = training().batch;
  while (speed_.steps < kFewSteps && training().batch >= 2 * kSmallestBatch) {
    training().batch /= 2;
    const Speed speed = speed_of(model_);
    // Half as many pictures that take the same time would only make the gradients noisier.
    if (speed.seconds > 0.75 * speed_.seconds) {
      training().batch *= 2;
      break;
    }
    speed_ = speed;
  }
  if (training().batch < before) {
    say(fmt::format("a batch of {}: with {} there would be fewer than {} steps", training().batch,
                    before, kFewSteps));
  }
}

void Planner::choose_averages() {
  constexpr double kShare = 0.05;
  const double seen = static_cast<double>(speed_.steps * training().batch);
  const auto halflife = std::max<int64_t>(static_cast<int64_t>(kShare * seen), 1);
  training().average_halflife = {halflife};
  say(fmt::format("an average of the weights whose half-life is {} pictures, {:.0f} % of all",
                  halflife, 100 * kShare));
}

void Planner::choose_saves() {
  RunOptions& run = plan_.options.run;
  const auto steps = static_cast<double>(speed_.steps);
  const double unsaved = std::clamp(request_.seconds / kSaves, kShortestUnsaved, kLongestUnsaved);
  const auto every = [&](double seconds) {
    return std::max<int64_t>(static_cast<int64_t>(steps * seconds / request_.seconds), 1);
  };
  if (!chosen("save_every")) run.save_every = every(unsaved);
  if (!chosen("sample_every"))
    run.sample_every = every(std::max(request_.seconds / kGrids, kShortestWithoutGrid));
}

TrainingPlan Planner::make() {
  if (network_is_chosen() || !has_sizes(plan_.options.network)) {
    require_memory_for_training(model_, training(), 0);
    speed_ = speed_of(model_);
  } else {
    choose_network();
  }
  if (!chosen("batch") && !chosen("micro_batch")) choose_batch();
  if (speed_.steps < 1) {
    fail_usage("train",
               fmt::format("a step takes {:.2g} s, but only {:.2g} s of the budget are left for "
                           "training; {} would allow a hundred steps, and a smaller --size or "
                           "--model-size takes less time",
                           speed_.seconds, request_.seconds,
                           duration_text(std::ceil(100 * speed_.seconds / kForSteps))));
  }
  if (!chosen("average_halflife") && !chosen("ema_decay")) choose_averages();
  if (!chosen("lr_warmup")) {
    const auto most = static_cast<int64_t>(kWarmup * static_cast<double>(speed_.steps));
    training().lr_warmup = std::min(training().lr_warmup, most);
  }
  choose_saves();
  const double seen = static_cast<double>(speed_.steps * training().batch);
  plan_.reasons.insert(plan_.reasons.begin(),
                       fmt::format("about {} steps of {} pictures in {}: each picture {:.2g} times",
                                   speed_.steps, training().batch, duration_text(request_.seconds),
                                   seen / static_cast<double>(request_.pictures)));
  constexpr double kOften = 300;
  if (seen > kOften * static_cast<double>(request_.pictures)) {
    say("pictures seen so often may be learnt by heart; ddpm eval --neighbours FILE.png shows "
        "copies, "
        "and more pictures or a shorter budget make fewer");
  }
  constexpr int64_t kUseful = 100;
  if (speed_.steps < kUseful) {
    say(fmt::format("so few steps draw little more than noise; {} would allow {}",
                    duration_text(std::ceil(kUseful * speed_.seconds / kForSteps)), kUseful));
  }
  return std::move(plan_);
}

Batch black_pictures(const ModelConfig& model, int64_t batch) {
  Batch pictures(Tensor::zeros({batch, model.height, model.width, model.network.channels()}));
  if (model.network.classes() > 0) pictures.labels = Tensor::zeros({batch});
  if (model.network.condition_channels() > 0) {
    pictures.condition =
        Tensor::zeros({batch, model.height, model.width, model.network.condition_channels()});
  }
  return pictures;
}

// The mean time of so many steps after the first, which prepares what later ones reuse. Of fewer,
// or of the first alone, if the limit is reached.
double mean_step(const ModelConfig& config, const OptimizerOptions& options, int steps,
                 const TimerLimit& limit) {
  using Clock = std::chrono::steady_clock;
  Trainer trainer(options, config, [&](int64_t) { return black_pictures(config, options.batch); });
  double first = 0, sum = 0;
  int done = 0;
  while (done <= steps) {
    const Clock::time_point begin = Clock::now();
    trainer.step();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    (done++ == 0 ? first : sum) += seconds;
    if (first + sum > limit.seconds || (limit.stopping && limit.stopping())) break;
  }
  return done > 1 ? sum / (done - 1) : first;
}

}  // namespace

double measure_step(const ModelConfig& config, const OptimizerOptions& options,
                    const TimerLimit& limit) {
  constexpr int64_t kFewPictures = 4;
  constexpr int kSteps = 3;
  OptimizerOptions quick = options;
  quick.update = {};
  quick.batch = std::min(options.batch, kFewPictures);
  const double estimate = mean_step(config, quick, 1, limit) * static_cast<double>(options.batch) /
                          static_cast<double>(quick.batch);
  if ((kSteps + 1) * estimate > limit.seconds) return estimate;
  return mean_step(config, options, kSteps, limit);
}

TrainingPlan plan_training(const TrainOptions& options, const ModelConfig& model,
                           const PlanRequest& request, const StepTimer& timer) {
  return Planner(options, model, request, timer).make();
}

}  // namespace ddpm
