// Everything that decides a training run. The same list of fields is the run's config.json, the
// flags of `ddpm train` and their help.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/base/options.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/engine/model.h"
#include "ddpm/kernels/arguments.h"

namespace ddpm {

// "mse", "l1" or "huber"; throws UsageError naming the choices.
LossKind loss_kind(std::string_view name);
std::vector<std::string> loss_names();

struct TrainOptions {
  // What is learnt
  std::string data;                  // a source, see data/source.h
  std::string size = "32";           // "32" or "HxW"
  std::string channels = "auto";     // "1", "3", "4", or "auto"
  std::string background = "white";  // under transparency that is not kept
  bool flip = false;                 // mirror pictures at random
  // The network
  int64_t dim = 64;
  std::vector<int64_t> dim_mults = {1, 2, 4, 8};
  int64_t init_dim = 0;
  int64_t groups = 4;
  int64_t heads = 4;
  int64_t dim_head = 32;
  double weight_standardization_eps = 0;
  // The process
  std::string schedule = "cosine";
  int64_t timesteps = 1000;
  std::string loss = "mse";
  // The optimization
  int64_t steps = 10000;
  int64_t batch = 32;
  double lr = 2e-4;
  int64_t lr_warmup = 100;
  double clip_norm = 1;
  double ema_decay = 0.9995;
  bool recompute = false;
  uint64_t seed = 0;
  // The run
  int64_t threads = 0;
  int64_t log_every = 1;
  int64_t save_every = 1000;
  int64_t sample_every = 1000;
  int64_t sample_count = 16;
  int64_t sample_steps = 50;
  int64_t keep_checkpoints = 2;

  void fields(Fields& field) {
    field.group("The pictures");
    field("data", data, "where the pictures come from").value_name("SOURCE").may_change();
    field("size", size, "pixels a side, or HEIGHTxWIDTH; both divisible by 2^(levels - 1)")
        .value_name("N|HxW");
    field("channels", channels, "1 grey, 3 RGB, 4 RGBA, or auto: the fewest that hold the pictures")
        .value_name("1|3|4|auto");
    field("background", background, "colour under transparency that is not kept: a name or #rrggbb")
        .value_name("COLOUR");
    field("flip", flip, "mirror pictures left to right at random");
    field.group("The network");
    field("dim", dim, "base width of the network; must be even");
    field("dim_mults", dim_mults,
          "width of each level as a multiple of dim; one level more halves the sides once more");
    field("init_dim", init_dim, "width after the first convolution, 0 for dim");
    field("groups", groups, "groups of the group normalisations; must divide every width");
    field("heads", heads, "heads of the attentions");
    field("dim_head", dim_head, "channels of each head");
    field("weight_standardization_eps", weight_standardization_eps,
          "added to the variance of each filter; 0 is the tutorial's, 1e-5 is usual elsewhere");
    field.group("The process");
    field("schedule", schedule, "how noise grows over the time steps")
        .choices("schedule", schedule_names());
    field("timesteps", timesteps, "time steps of the noise schedule").range(1, kMostTimesteps);
    field("loss", loss, "how the difference between the noise and its estimate is measured")
        .choices("loss", loss_names());
    field.group("The training");
    field("steps", steps, "training steps in all").range(1, kMostTrainedSteps).may_change();
    field("batch", batch, "pictures per step").range(1, kMostBatch);
    field("lr", lr, "learning rate of Adam").above(0, 1).advice("2e-4 is usual");
    field("lr_warmup", lr_warmup, "steps over which the learning rate rises from 0")
        .range(0, kMostTrainedSteps);
    field("clip_norm", clip_norm, "largest norm of the gradient, 0 for no limit").at_least(0);
    field("ema_decay", ema_decay,
          "weight of the past in the averaged weights that samples are drawn with")
        .between(0, 1)
        .advice("0.9995 is usual");
    field("recompute", recompute,
          "compute what is inside blocks again instead of keeping it: less memory for about a "
          "third more time; the same weights to the bit")
        .alias("checkpointing")
        .may_change();
    field("seed", seed, "decides everything random");
    field.group("What is kept and shown");
    field("threads", threads, "processor threads, 0 for all cores").range(0, 4096).may_change();
    field("log_every", log_every, "steps between lines of metrics.jsonl")
        .range(1, kMostTrainedSteps)
        .may_change();
    field("save_every", save_every, "steps between checkpoints")
        .range(1, kMostTrainedSteps)
        .may_change();
    field("sample_every", sample_every, "steps between sample grids, 0 for none")
        .range(0, kMostTrainedSteps)
        .may_change();
    field("sample_count", sample_count, "pictures in a sample grid").range(1, 4096).may_change();
    field("sample_steps", sample_steps, "denoising steps for a sample grid")
        .range(1, kMostTimesteps)
        .may_change();
    field("keep_checkpoints", keep_checkpoints, "newest checkpoints kept")
        .range(1, kMostTrainedSteps)
        .may_change();
  }

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
