#include "ddpm/engine/train_options.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

struct NamedLoss {
  const char* name;
  LossKind kind;
};
constexpr NamedLoss kLosses[] = {
    {"mse", LossKind::kMse}, {"l1", LossKind::kL1}, {"huber", LossKind::kHuber}};

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
  if (data.empty())
    fail_usage("train",
               "no data given; name a folder of images, or for a first try emoji:smileys-emotion");
  check_options("train", *this);
  if (sample_steps > timesteps) {
    fail_usage("train", fmt::format("sample-steps is {} but must lie between 1 and {}, the time "
                                    "steps of the schedule",
                                    sample_steps, timesteps));
  }
  const ModelConfig config = model_config(0, 0, 3);
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
