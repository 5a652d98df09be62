#include "ddpm/engine/train_options.h"

#include <fmt/core.h>

#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/diffusion/schedule.h"

namespace ddpm {
namespace {

struct NamedLoss {
  const char* name;
  LossKind kind;
};
constexpr NamedLoss kLosses[] = {
    {"mse", LossKind::kMse}, {"l1", LossKind::kL1}, {"huber", LossKind::kHuber}};

void check_range(const char* name, int64_t value, int64_t lowest, int64_t highest) {
  if (value < lowest || value > highest) {
    fail_usage("train", fmt::format("{} is {} but must lie between {} and {}", name, value, lowest,
                                    highest));
  }
}

}  // namespace

bool tells_of_run(std::string_view key) {
  return key == "version" || key == "model" || key == "run" || key == "data_hashes";
}

LossKind loss_kind(std::string_view name) {
  for (const NamedLoss& loss : kLosses) {
    if (name == loss.name) return loss.kind;
  }
  fail_usage("loss",
             fmt::format("there is no loss \"{}\"; choose {}", name, join_choices(loss_names())));
}

std::vector<std::string> loss_names() {
  std::vector<std::string> names;
  for (const NamedLoss& loss : kLosses) names.push_back(loss.name);
  return names;
}

void TrainOptions::check() const {
  constexpr int64_t kMany = kMostTrainedSteps;
  if (data.empty())
    fail_usage("train",
               "no data given; name a folder of images, or for a first try emoji:smileys-emotion");
  check_range("steps", steps, 1, kMany);
  check_range("batch", batch, 1, kMostBatch);
  check_range("timesteps", timesteps, 1, 1000000);
  check_range("lr-warmup", lr_warmup, 0, kMany);
  check_range("threads", threads, 0, 4096);
  check_range("log-every", log_every, 1, kMany);
  check_range("save-every", save_every, 1, kMany);
  check_range("sample-every", sample_every, 0, kMany);
  check_range("sample-count", sample_count, 1, 4096);
  check_range("sample-steps", sample_steps, 1, timesteps);
  check_range("keep-checkpoints", keep_checkpoints, 1, kMany);
  if (!(lr > 0 && lr <= 1))
    fail_usage("train", fmt::format("lr is {} but must lie above 0, at most 1; 2e-4 is usual", lr));
  if (!(clip_norm >= 0) || std::isinf(clip_norm)) {
    fail_usage("train",
               fmt::format("clip-norm is {} but must be 0 (no limit) or above", clip_norm));
  }
  if (!(ema_decay > 0 && ema_decay < 1)) {
    fail_usage("train", fmt::format("ema-decay is {} but must lie between 0 and 1; 0.9995 is usual",
                                    ema_decay));
  }
  loss_kind(loss);
  const ModelConfig config = model_config(0, 0, 3);
  Schedule(config.schedule, config.timesteps);
  config.network.check();
}

ModelConfig TrainOptions::model_config(int64_t height, int64_t width,
                                       int64_t image_channels) const {
  return {.network = {.dim = dim,
                      .dim_mults = dim_mults,
                      .channels = image_channels,
                      .init_dim = init_dim,
                      .resnet_block_groups = groups,
                      .attention_heads = heads,
                      .attention_dim_head = dim_head,
                      .weight_standardization_eps = weight_standardization_eps},
          .height = height,
          .width = width,
          .schedule = schedule,
          .timesteps = timesteps};
}

}  // namespace ddpm
