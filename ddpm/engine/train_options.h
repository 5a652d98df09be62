// Everything that decides a training run, by who reads it. The same list of fields is the run's
// config.json, the flags of `ddpm train` and their help.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/base/options.h"
#include "ddpm/engine/model_config.h"

namespace ddpm {

enum class LossKind;

// "mse", "l1" or "huber"; throws UsageError naming the choices.
LossKind loss_kind(std::string_view name);
std::vector<std::string> loss_names();

// Which pictures are learnt from, and how they are prepared.
struct DataOptions {
  std::string source;
  std::string size = "32";
  std::string channels = "auto";
  std::string background = "white";
  bool flip = false;

  void fields(Fields& field);
};

// What the trainer reads: how the weights follow from the pictures.
struct OptimizerOptions {
  std::string loss = "mse";
  int64_t steps = 10000;
  int64_t batch = 32;
  double lr = 2e-4;
  int64_t lr_warmup = 100;
  double clip_norm = 1;
  double ema_decay = 0.9995;
  bool recompute = false;
  uint64_t seed = 0;

  void fields(Fields& field);
};

// What a run directory reads: how often something is written, and how much is kept.
struct RunOptions {
  int64_t threads = 0;
  int64_t log_every = 1;
  int64_t save_every = 1000;
  int64_t sample_every = 1000;
  int64_t sample_count = 16;
  int64_t sample_steps = 50;
  int64_t keep_checkpoints = 2;

  void fields(Fields& field);
};

struct TrainOptions {
  TrainOptions() { process.schedule = "cosine"; }

  DataOptions data;
  NetworkConfig network;
  ProcessConfig process;
  OptimizerOptions optimizer;
  RunOptions run;

  void fields(Fields& field);

  // Throws UsageError for values that cannot work, naming the option, the value and what would
  // work. What depends on the pictures (their channels) is checked with them.
  void check() const;
  // What the network and the file need to know; height, width and channels are the pictures'.
  ModelConfig model_config(int64_t height, int64_t width, int64_t channels) const;
};

// Whether a key of config.json tells of the run ("version", "model", "run", "data_hashes") and is
// no option of it.
bool tells_of_run(std::string_view key);

}  // namespace ddpm
