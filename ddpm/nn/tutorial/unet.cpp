#include "ddpm/nn/tutorial/unet.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ddpm/autograd/functions.h"
#include "ddpm/autograd/inference.h"
#include "ddpm/autograd/recompute.h"
#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/nn/checks.h"

namespace ddpm::tutorial {
namespace {

// The widths before and after each level: [init_dim, dim * m0, dim * m1, ...].
std::vector<int64_t> level_widths(const UnetConfig& config) {
  std::vector<int64_t> widths = {config.first_width()};
  for (int64_t mult : config.dim_mults) widths.push_back(config.dim * mult);
  return widths;
}

// Calls check() before any member is built from the configuration.
const UnetConfig& checked(const UnetConfig& config) {
  config.check();
  return config;
}

}  // namespace

void UnetConfig::fields(Fields& field) {
  field.group("The network");
  field("dim", dim, "base width of the network; must be even").range(2, kMostChannels);
  field("dim_mults", dim_mults,
        "width of each level as a multiple of dim; one level more halves the sides once more")
      .range(1, kMostChannels)
      .elements(1, kMostLevels)
      .advice("1,2,4,8 is usual");
  field("init_dim", init_dim, "width after the first convolution, 0 for dim")
      .range(0, kMostChannels);
  field("groups", groups, "groups of the group normalisations; must divide every width")
      .range(1, kMostChannels)
      .alias("resnet_block_groups")
      .not_in_state_dict();
  field("heads", heads, "heads of the attentions")
      .range(1, kMostChannels)
      .alias("attention_heads")
      .not_in_state_dict();
  field("dim_head", dim_head, "channels of each head")
      .range(1, kMostChannels)
      .alias("attention_dim_head")
      .not_in_state_dict();
  field("weight_standardization_eps", weight_standardization_eps,
        "added to the variance of each filter; 0 is the tutorial's, 1e-5 is usual elsewhere")
      .range_below(0, 1)
      .not_in_state_dict();
  field("dropout", dropout, "share of each block's activations that a training step leaves out")
      .range_below(0, 1)
      .advice("0.1 is usual");
  field("self_condition", self_condition, "take an earlier estimate of the image as well")
      .not_in_state_dict();
}

void UnetConfig::check() const {
  check_options("network", *this);
  check_width("channels", channels);
  if (output_dim != 0) check_width("output_dim", output_dim);
  if (condition_channels != 0) check_width("condition_channels", condition_channels);
  check_classes(classes);
  check_width("heads times dim_head", heads * dim_head);
  // Throws if dim is odd or too small.
  static_cast<void>(SinusoidalPositionEmbedding{dim});
  std::vector<int64_t> widths = level_widths(*this);
  widths.push_back(dim);
  for (int64_t width : widths) check_width("dim times each of dim_mults", width);
  for (int64_t width : widths) {
    if (width % groups == 0) continue;
    std::vector<std::string> works;
    for (int64_t groups = 1; groups <= dim && groups <= 64; ++groups) {
      bool divides_all = true;
      for (int64_t other : widths) divides_all = divides_all && other % groups == 0;
      if (divides_all) works.push_back(std::to_string(groups));
    }
    fail_usage("network",
               fmt::format("groups {} does not divide the width {}; {} would divide all of {}",
                           groups, width, join_choices(works), fmt::join(widths, ", ")));
  }
}

void UnetConfig::check_image(int64_t height, int64_t width) const {
  check_sides(height, width, static_cast<int64_t>(dim_mults.size()));
}

void UnetConfig::take_given(const JsonObject& given) {
  const int64_t width = heads * dim_head;
  if (const std::string* json = given.find("self_condition")) {
    bool asked = self_condition;
    json_value::read(*json, "self_condition", asked);
    if (asked != self_condition) {
      fail_usage("network", fmt::format("--self-condition does not fit the weights, which are of a "
                                        "network {} it; leave it out",
                                        self_condition ? "with" : "without"));
    }
  }
  for (const Field& field : fields_of(*this)) {
    const std::string* json = given.find(field.name());
    if (json != nullptr && !field.in_state_dict()) field.read(*json);
  }
  const bool told_dim_head = given.find("dim_head") != nullptr;
  if (told_dim_head && given.find("heads") == nullptr) heads = dim_head > 0 ? width / dim_head : 0;
  if (told_dim_head && heads * dim_head != width) {
    fail_usage("network", fmt::format("heads of {} channels do not make up the attention's {} "
                                      "channels",
                                      dim_head, width));
  }
  if (heads < 1 || width % heads != 0) {
    fail_usage(
        "network",
        fmt::format("{} heads do not divide the attention's {} channels; a divisor of {}, such "
                    "as 1, works",
                    heads, width, width));
  }
  dim_head = width / heads;
}

ResnetBlockOptions DiffusionUnet::block_options(int64_t in_channels, int64_t out_channels) {
  return {.in_channels = in_channels,
          .out_channels = out_channels,
          .time_emb_dim = 4 * config_.dim,
          .groups = config_.groups,
          .weight_standardization_eps = config_.weight_standardization_eps,
          .dropout = config_.dropout,
          .dropout_stream = blocks_made_++};
}

template <class Resample>
std::unique_ptr<DiffusionUnet::Level<Resample>> DiffusionUnet::make_level(const LevelOptions& o) {
  auto level = std::make_unique<Level<Resample>>();
  level->block1 = std::make_unique<ResnetBlock>(block_options(o.block_in, o.width), device());
  level->block2 = std::make_unique<ResnetBlock>(block_options(o.block_in, o.width), device());
  level->attention = std::make_unique<LinearAttentionLayer>(
      GroupNorm::Options{.groups = 1, .channels = o.width}, device(),
      AttentionOptions{
          .in_channels = o.width, .num_heads = config_.heads, .dim_head = config_.dim_head},
      device());
  level->append(*level->block1);
  level->append(*level->block2);
  level->append(*level->attention);
  if (o.resamples) {
    level->resample = std::make_unique<Resample>(
        ResampleOptions{.in_channels = o.width, .out_channels = o.out_channels}, device());
    level->append(*level->resample);
  } else {
    level->conv = std::make_unique<Conv2d>(
        Conv2dOptions{
            .in_channels = o.width, .out_channels = o.out_channels, .kernel = 3, .padding = 1},
        device());
    level->append(*level->conv);
  }
  return level;
}

DiffusionUnet::DiffusionUnet(const UnetConfig& config, Device device)
    : Network(device),
      config_(checked(config)),
      init_conv_({.in_channels = config.input_channels(),
                  .out_channels = config.first_width(),
                  .kernel = 1},
                 device),
      time_mlp_(config.dim, device),
      mid_block1_(block_options(level_widths(config).back(), level_widths(config).back()), device),
      mid_attention_(GroupNorm::Options{.groups = 1, .channels = level_widths(config).back()},
                     device,
                     AttentionOptions{.in_channels = level_widths(config).back(),
                                      .num_heads = config.heads,
                                      .dim_head = config.dim_head},
                     device),
      mid_block2_(block_options(level_widths(config).back(), level_widths(config).back()), device),
      // The tutorial builds its last up-level for init_dim channels but its last block for 2 dim.
      // These differ if init_dim != dim. The block really receives init_dim channels twice.
      final_res_block_(block_options(2 * config.first_width(), config.dim), device),
      final_conv_(
          {.in_channels = config.dim, .out_channels = config.output_channels(), .kernel = 1},
          device) {
  add("init_conv", init_conv_);
  add("time_mlp", time_mlp_);
  if (config.classes > 0) {
    class_embedding_ = std::make_unique<ClassEmbedding>(
        ClassEmbedding::Options{.classes = config.classes, .width = 4 * config.dim}, device);
    add("class_embedding", *class_embedding_);
  }
  add("down_layers", down_layers_);
  add("mid_block1", mid_block1_);
  add("mid_attention", mid_attention_);
  add("mid_block2", mid_block2_);
  add("up_layers", up_layers_);
  add("final_res_block", final_res_block_);
  add("final_conv", final_conv_);
  const std::vector<int64_t> widths = level_widths(config);
  const int64_t levels = static_cast<int64_t>(config.dim_mults.size());
  for (int64_t i = 0; i < levels; ++i) {
    down_.push_back(make_level<Downsample>({.block_in = widths[i],
                                            .width = widths[i],
                                            .out_channels = widths[i + 1],
                                            .resamples = i + 1 < levels}));
    down_layers_.append(*down_.back());
  }
  for (int64_t i = levels - 1; i >= 0; --i) {
    up_.push_back(make_level<Upsample>({.block_in = widths[i + 1] + widths[i],
                                        .width = widths[i + 1],
                                        .out_channels = widths[i],
                                        .resamples = i > 0}));
    up_layers_.append(*up_.back());
  }
}

Variable DiffusionUnet::first_input(const NetworkInput& input) const {
  Variable estimate = input.estimate;
  if (config_.self_condition && !estimate.defined())
    estimate = Variable(Tensor::zeros(input.x.shape(), device()));
  return concat_defined({input.x, estimate, input.condition});
}

Variable DiffusionUnet::operator()(const NetworkInput& input) const {
  check_input(input, config_.channels);
  check_condition(input, config_.condition_channels);
  const Variable& x = input.x;
  config_.check_image(x.shape()[1], x.shape()[2]);
  const int64_t most = images_at_once(x.shape());
  if (Inference::active() && x.shape()[0] > most) {
    return in_parts(input, most, config_.output_channels());
  }
  const Variable time = embed(input);                     // [N, 4 dim]
  const Variable first = init_conv_(first_input(input));  // [N, H, W, init_dim]
  // If blocks are computed again, they outlive this call.
  const auto seeds = std::make_shared<const std::vector<uint64_t>>(input.dropout_seeds);
  const auto pass = [this, time, seeds](const ResnetBlock& block, const Variable& h,
                                        const Variable& more = {}) {
    return run([&block, h, more, time, seeds] {
      return block(h, &time, more.defined() ? &more : nullptr, *seeds);
    });
  };
  Variable h = first;
  std::vector<Variable> skips;
  for (const auto& level : down_) {
    h = pass(*level->block1, h);
    skips.push_back(h);
    h = pass(*level->block2, h);
    h = run([&attention = *level->attention, h] { return attention(h); });
    skips.push_back(h);
    h = level->resample ? (*level->resample)(h) : (*level->conv)(h);
  }
  h = pass(mid_block1_, h);
  h = mid_attention_(h);
  h = pass(mid_block2_, h);
  for (const auto& level : up_) {
    for (const ResnetBlock* block : {level->block1.get(), level->block2.get()}) {
      h = pass(*block, h, skips.back());
      skips.pop_back();
    }
    h = run([&attention = *level->attention, h] { return attention(h); });
    h = level->resample ? (*level->resample)(h) : (*level->conv)(h);
  }
  h = pass(final_res_block_, h, first);
  return final_conv_(h);
}

Variable DiffusionUnet::embed(const NetworkInput& input) const {
  const Variable time = time_mlp_(input.t);
  return class_embedding_ ? ddpm::add(time, (*class_embedding_)(input.labels)) : time;
}

// The largest activation is that of all heads of the first attention.
int64_t DiffusionUnet::images_at_once(const Shape& x) const {
  const int64_t widest = config_.heads * config_.dim_head;
  return ddpm::images_at_once(device(), {x[1], x[2], widest});
}

std::unique_ptr<Network> UnetConfig::make(Device device) const {
  return std::make_unique<DiffusionUnet>(*this, device);
}

}  // namespace ddpm::tutorial
