// A small training for tests.
#pragma once

#include "ddpm/engine/train_options.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/nn/tutorial/unet.h"

namespace ddpm::test {

inline tutorial::UnetConfig& unet_of(TrainOptions& options) {
  return *options.network.get<tutorial::UnetConfig>();
}

inline TrainOptions small_options() {
  TrainOptions options;
  options.data.source = "memory";
  unet_of(options).dim = 8;
  unet_of(options).dim_mults = {1, 2};
  options.optimizer.batch = 4;
  options.optimizer.seed = 11;
  options.optimizer.lr = 2e-3;
  options.optimizer.lr_warmup = 5;
  return options;
}

// Four pictures. Each has a bright and a dark half.
inline Tensor pictures(int64_t) {
  Tensor images = Tensor::full({4, 4, 6, 1}, -0.8f);
  for (int64_t n = 0; n < 4; ++n) {
    for (int64_t i = 0; i < 12; ++i) images.f32()[n * 24 + (n % 2) * 12 + i] = 0.8f;
  }
  return images;
}

inline Trainer small_trainer(const TrainOptions& options = small_options()) {
  return Trainer(options.optimizer, options.model_config(4, 6, 1), pictures);
}

// Two classes and a picture of none.
inline ModelConfig config_with_classes(const TrainOptions& options) {
  ModelConfig config = options.model_config(4, 6, 1);
  config.network.classes() = 2;
  config.class_names = {"left", "right"};
  return config;
}

inline Batch labelled_pictures(int64_t step) {
  Batch batch = pictures(step);
  batch.labels = Tensor::of({4}, {0, 1, 0, -1});
  return batch;
}

}  // namespace ddpm::test
