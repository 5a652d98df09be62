// All options of a training run, grouped by the code that reads them. One list of fields gives the
// run's config.json, the flags of `ddpm train` and their help.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/base/options.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/optim/update_options.h"

namespace ddpm {

struct AverageOptions;
struct RateSchedule;
enum class LossKind;

// `name` is "mse", "l1" or "huber". Throws UsageError naming the choices.
LossKind loss_kind(std::string_view name);
std::vector<std::string> loss_names();

// The pictures of a training, and how they are prepared.
struct DataOptions {
  std::string source;
  std::string size = "32";
  std::string channels = "auto";
  std::string background = "white";
  std::string fit = "cover";
  std::string crop = "centre";
  bool flip = false;
  std::string condition = "none";
  bool classes = false;
  std::string labels;
  double validation = 0;
  std::string stream = "auto";

  bool wants_classes() const { return classes || !labels.empty(); }

  void fields(Fields& field);
};

// The options that the trainer reads: how the weights follow from the pictures.
struct OptimizerOptions {
  std::string loss = "mse";
  int64_t steps = 10000;
  // Other than "none", the training ends by the clock and `steps` is not used; see budget.h.
  std::string budget = "none";
  int64_t batch = 32;
  int64_t micro_batch = 0;
  // How the gradients of several ranks are added, and in which type they travel.
  std::string reduce = "exact";
  std::string reduce_type = "float32";
  double lr = 2e-4;
  int64_t lr_warmup = 100;
  std::string lr_schedule = "constant";
  int64_t lr_decay_start = 0;
  UpdateOptions update;
  double clip_norm = 1;
  double ema_decay = 0.9995;
  // Moving averages besides that of ema_decay: half-lives in pictures. Samples are drawn with the
  // first.
  std::vector<int64_t> average_halflife;
  // Widths of power-function averages, as parse_widths() of power_averages.h reads them.
  std::string power_average = "none";
  double label_dropout = 0.1;
  double augment = 0;
  bool recompute = false;
  uint64_t seed = 0;

  // With micro-batches, gradients are computed of chunks of this many pictures, or of fewer if a
  // micro-batch is smaller. The weights follow from the chunks to the bit. That is why a chunk does
  // not depend on the size of a batch, a micro-batch or the memory.
  static constexpr int64_t kChunk = 4;
  // The number of pictures whose gradients are computed together.
  int64_t chunk() const;
  RateSchedule rate_schedule() const;
  // The averages of the last two options. Throws UsageError for widths that no average can have.
  AverageOptions averages() const;

  void fields(Fields& field);
};

// The options of a run's directory: how often files are written, and how many are kept.
struct RunOptions {
  int64_t threads = 0;
  int64_t log_every = 1;
  int64_t save_every = 1000;
  int64_t sample_every = 1000;
  int64_t sample_count = 16;
  // Evaluations of the network for each picture of a grid. 0: the sampler's own number.
  int64_t sample_steps = 0;
  int64_t keep_checkpoints = 2;
  int64_t snapshot_every = 0;
  int64_t power_average_every = 500;
  int64_t eval_every = 0;
  int64_t eval_n = 1000;
  // Steps between measurements of the loss on the pictures that are held out. 0: see
  // usual_validation_interval().
  int64_t validate_every = 0;
  bool tensorboard = false;

  void fields(Fields& field);
};

struct TrainOptions {
  // New runs use the cosine schedule. ProcessConfig's own default, linear, is that of state dicts
  // which do not say.
  TrainOptions() { process.schedule = "cosine"; }

  // The recipe that the values come from which no one chose (engine/training_recipe.h). The
  // defaults of these structs are the tutorial's, and so are options that a file does not name.
  std::string recipe = "tutorial";
  DataOptions data;
  NetworkConfig network;
  ProcessConfig process;
  OptimizerOptions optimizer;
  RunOptions run;

  bool keeps_power_averages() const { return optimizer.power_average != "none"; }

  void fields(Fields& field);

  // Throws UsageError for values that cannot work, naming the option, the value and what would
  // work. Checks that need the pictures (their channels) are made with the pictures.
  void check() const;
  // The configuration of the network and its file. Height, width and channels are the pictures'.
  // own_condition_channels: of conditions that come with the pictures (Pictures), 0 for none.
  ModelConfig model_config(int64_t height, int64_t width, int64_t channels,
                           int64_t own_condition_channels = 0) const;
};

// Throws UsageError unless the output of a network has as many channels as its images, or twice as
// many if it learns the variance. There is no objective for other outputs.
void check_predicts_images(const NetworkConfig& network, const ProcessConfig& process);

// Whether a key of config.json describes the run ("version", "model", "run", "data_hashes") and is
// not an option.
bool tells_of_run(std::string_view key);

}  // namespace ddpm
