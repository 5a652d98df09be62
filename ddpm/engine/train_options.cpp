#include "ddpm/engine/train_options.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/data/augment.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/resize.h"
#include "ddpm/diffusion/level.h"
#include "ddpm/engine/budget.h"
#include "ddpm/engine/power_averages.h"
#include "ddpm/engine/training_recipe_table.h"
#include "ddpm/kernels/arguments.h"
#include "ddpm/optim/averages.h"
#include "ddpm/optim/learning_rate.h"

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

void DataOptions::fields(Fields& field) {
  field.group("The pictures");
  field("data", source, "where the pictures come from").value_name("SOURCE").may_change();
  field("size", size, "pixels a side, or HEIGHTxWIDTH; both divisible by 2^(levels - 1)")
      .value_name("N|HxW");
  field("channels", channels, "1 grey, 3 RGB, 4 RGBA, or auto: the fewest that hold the pictures")
      .value_name("1|3|4|auto");
  field("background", background, "colour behind transparent pixels: white, black, grey or #rrggbb")
      .value_name("COLOUR");
  field("fit", fit,
        "how pictures of other proportions get the size: cover scales them until they fill it and "
        "cuts the rest; contain scales them until they fit in and adds borders of the background; "
        "pad does so without enlarging them")
      .choices("way to fit pictures", fit_names());
  field("crop", crop,
        "which part of a picture that was scaled until it fills the size is used: its centre, or "
        "another part in each step")
      .choices("way to cut pictures", crop_names());
  field("flip", flip, "mirror pictures left to right at random");
  field("condition", condition,
        "what the network is shown of each picture, to draw the rest: downscale:N, the picture "
        "shrunk N times; grey, its luminance; or a folder with another picture of the same name "
        "for each")
      .value_name("none|downscale:N|grey|DIR");
  field("classes", classes,
        "learn the classes of the pictures: folders inside FOLDER, groups of emoji, the labels of "
        "mnist and cifar10");
  field("labels", labels, "learn the classes in a table of file names and classes")
      .value_name("FILE.csv")
      .may_change();
  field("validation", validation,
        "share of the pictures that are held out: the training does not learn from them, and "
        "measures its loss on them; 0 for none")
      .range_below(0, 1)
      .advice("0.05 is usual");
  field("stream", stream,
        "whether pictures stay in their files until a batch needs them; auto streams those that "
        "would take more than half of the free memory. The weights are the same to the bit")
      .choices("way to hold pictures", {"auto", "on", "off"})
      .may_change();
}

int64_t OptimizerOptions::chunk() const {
  return std::min(micro_batch == 0 ? batch : std::min(micro_batch, kChunk), batch);
}

RateSchedule OptimizerOptions::rate_schedule() const {
  return {.schedule = lr_schedule,
          .rate = lr,
          .warmup = lr_warmup,
          .decay_start = lr_decay_start,
          .steps = steps};
}

AverageOptions OptimizerOptions::averages() const {
  return {.halflives = average_halflife, .widths = parse_widths(power_average)};
}

void OptimizerOptions::fields(Fields& field) {
  field.group("The training");
  field("loss", loss, "how the difference between the target and the output is measured")
      .choices("loss", loss_names());
  field("steps", steps, "total number of training steps").range(1, kMostTrainedSteps).may_change();
  field("budget", budget,
        "wall time after which the training ends, over all its sessions, in place of steps: 90s, "
        "10m, 8h, 2d or 1h30m; repeat:FILE repeats a training, FILE is its clock.jsonl")
      .value_name("none|TIME|repeat:FILE")
      .may_change();
  field("batch", batch, "pictures per step").range(1, kMostBatch);
  field("micro_batch", micro_batch,
        "most pictures whose gradients are computed together, 0 for the whole batch; they are "
        "taken in chunks of 4, so all values from 4 give the same weights to the bit")
      .range(0, kMostBatch);
  field(
      "reduce", reduce,
      "how the gradients of several ranks are added: exact, in the order of chunks of 4 pictures, "
      "which gives the same weights to the bit for any number of ranks; or fast, each rank's "
      "pictures at once")
      .choices("way to add gradients", {"exact", "fast"})
      .may_change();
  field("reduce_type", reduce_type,
        "type in which gradients travel between ranks; bfloat16 halves the bytes and needs reduce "
        "fast")
      .choices("type", {"float32", "bfloat16"})
      .may_change();
  field("lr", lr, "learning rate").above(0, 1).advice("2e-4 is usual");
  field("lr_warmup", lr_warmup, "steps over which the learning rate rises from 0")
      .range(0, kMostTrainedSteps);
  field("lr_schedule", lr_schedule,
        "the learning rate after its rise: constant; cosine or linear, which fall to 0 until the "
        "end; or rsqrt, which falls with the root of the steps")
      .choices("schedule of the learning rate", rate_schedule_names());
  field("lr_decay_start", lr_decay_start,
        "step from which the learning rate falls, 0 for the end of its rise")
      .range(0, kMostTrainedSteps);
  update.fields(field);
  field("clip_norm", clip_norm, "largest norm of the gradient, 0 for no limit").at_least(0);
  field("ema_decay", ema_decay,
        "decay of the moving average of the weights, which samples are drawn with")
      .between(0, 1)
      .advice("0.9995 is usual");
  field("average_halflife", average_halflife,
        "further moving averages, by the pictures after which a weight counts half; samples are "
        "drawn with the first of them instead")
      .range(1, kMostTrainedSteps)
      .elements(0, 8)
      .value_name("H,H,...")
      .advice("500000 is usual");
  field("power_average", power_average,
        "widths of power-function averages, of which ddpm average makes one of any other width; "
        "auto is 0.05,0.1")
      .value_name("none|auto|W,W,...");
  field("label_dropout", label_dropout,
        "share of pictures that are shown without their class; guidance needs some")
      .range_below(0, 1)
      .advice("0.1 is usual");
  field("augment", augment,
        "probability of scaling, turning, stretching, shifting and turning over each picture, of "
        "which the network is told, so that it draws pictures as they are; for few pictures")
      .range(0, 1)
      .advice("0.12 is usual");
  field("recompute", recompute,
        "keep only the inputs of blocks and compute the rest again: less memory, about a third "
        "more time, the same weights to the bit")
      .alias("checkpointing")
      .may_change();
  field("seed", seed, "seed of all random numbers");
}

void RunOptions::fields(Fields& field) {
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
  field("sample_steps", sample_steps,
        "evaluations of the network for each picture of a sample grid, 0 for the sampler's own")
      .range(0, kMostTimesteps)
      .may_change();
  field("keep_checkpoints", keep_checkpoints, "how many of the newest checkpoints are kept")
      .range(1, kMostTrainedSteps)
      .may_change();
  field("snapshot_every", snapshot_every,
        "steps between snapshots, averaged weights that are kept and that RUN@STEP names; 0 for "
        "none")
      .range(0, kMostTrainedSteps)
      .may_change();
  field("power_average_every", power_average_every,
        "steps between power-function averages that are kept; those of the last step are, too")
      .range(1, kMostTrainedSteps)
      .may_change();
  field("eval_every", eval_every,
        "steps between evaluations: eval.png shows how far drawn pictures are from those of the "
        "training, best.safetensors keeps the best weights; 0 for none")
      .range(0, kMostTrainedSteps)
      .may_change();
  field("eval_n", eval_n, "pictures that are drawn for an evaluation")
      .range(2, 1'000'000)
      .may_change();
  field("validate_every", validate_every,
        "steps between measurements of the loss on the pictures held out by --validation; 0 for "
        "about 2 % of the time")
      .range(0, kMostTrainedSteps)
      .may_change();
  field("tensorboard", tensorboard,
        "also write the figures and the sample grids for TensorBoard, into RUN/tensorboard")
      .may_change();
}

void TrainOptions::fields(Fields& field) {
  field.group("The recipe");
  field("recipe", recipe, "gives all options their values that neither a file nor a flag gives")
      .choices("recipe", training_recipe_names());
  data.fields(field);
  network.fields(field);
  process.fields(field);
  optimizer.fields(field);
  run.fields(field);
}

void TrainOptions::check() const {
  check_options("train", *this, "--");
  if (run.sample_steps > process.timesteps) {
    fail_usage("train", fmt::format("sample-steps is {} but must lie between 0 and {}, the time "
                                    "steps of the schedule",
                                    run.sample_steps, process.timesteps));
  }
  network.check();
  process.check();
  optimizer.update.check();
  if (optimizer.reduce_type != "float32" && optimizer.reduce == "exact") {
    fail_usage("train",
               fmt::format("--reduce-type {} rounds the gradients of each rank, so the weights "
                           "depend on the number of ranks; add --reduce fast",
                           optimizer.reduce_type));
  }
  // Reading it refuses what it cannot be.
  parse_budget(optimizer.budget);
  // Making them refuses those that cannot be.
  const Averages averages({}, optimizer.averages());
  if (optimizer.lr_decay_start > 0 && optimizer.lr_schedule == "constant") {
    fail_usage("train",
               fmt::format("--lr-decay-start {} needs an --lr-schedule that falls: cosine, "
                           "linear or rsqrt",
                           optimizer.lr_decay_start));
  }
  if (network.output_dim() != 0) {
    fail_usage("train",
               fmt::format("output_dim is {}; it must be 0 in a training, for the channels "
                           "of the pictures",
                           network.output_dim()));
  }
  if (data.condition != "none" && process.pairing != "none") {
    fail_usage("train",
               fmt::format("pairing is {}, but with a condition each picture keeps its own noise, "
                           "or the noise would depend on the condition; leave one of them out",
                           process.pairing));
  }
  check_crop(data.fit, data.crop);
  if (data.condition != "none") {
    const int64_t channels = data.channels == "1" ? 1 : 0;
    check_condition(parse_condition(data.condition), parse_image_size(data.size), channels);
  }
}

void check_predicts_images(const NetworkConfig& network, const ProcessConfig& process) {
  const int64_t needed = network.channels() * (process.learned_variance ? 2 : 1);
  if (network.output_channels() == needed) return;
  fail_usage("train",
             fmt::format("the network has {} output channels for images of {}; training {} "
                         "learned-variance needs {}",
                         network.output_channels(), network.channels(),
                         process.learned_variance ? "with" : "without", needed));
}

ModelConfig TrainOptions::model_config(int64_t height, int64_t width, int64_t channels,
                                       int64_t own_condition_channels) const {
  ModelConfig config{.network = network, .height = height, .width = width, .process = process};
  config.fit = data.fit;
  config.background = data.background;
  config.network.channels() = channels;
  if (process.learned_variance) config.network.output_dim() = 2 * channels;
  if (optimizer.augment > 0) config.network.augment_channels() = kAugmentChannels;
  const ImageCondition condition = parse_condition(data.condition);
  if (condition.computed()) {
    config.condition = condition.name();
    config.network.condition_channels() = channels_of(condition, channels);
  } else if (condition.kind == ImageCondition::Kind::kPairs || own_condition_channels > 0) {
    config.condition = "pairs";
    // Before the other pictures are read they are taken for pictures of the same kind.
    config.network.condition_channels() =
        own_condition_channels > 0 ? own_condition_channels : channels;
  }
  return config;
}

}  // namespace ddpm
