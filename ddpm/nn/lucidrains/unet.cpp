#include "ddpm/nn/lucidrains/unet.h"

#include <algorithm>
#include <utility>

#include "ddpm/autograd/functions.h"
#include "ddpm/autograd/inference.h"

namespace ddpm::lucidrains {
namespace {

// Runs check() before any member is built from the configuration.
const UnetConfig& checked(const UnetConfig& config) {
  config.check();
  return config;
}

// Widths that the convolutions of a level lead to and from: [init_dim, dim * m0, dim * m1, ...].
std::vector<int64_t> level_widths(const UnetConfig& config) {
  std::vector<int64_t> widths = {config.first_width()};
  for (const int64_t mult : config.dim_mults) widths.push_back(config.dim * mult);
  return widths;
}

int64_t middle_width(const UnetConfig& config) { return level_widths(config).back(); }

}  // namespace

ResnetBlockOptions Unet::block_options(int64_t in_channels, int64_t out_channels) {
  return {.in_channels = in_channels,
          .out_channels = out_channels,
          .time_emb_dim = 4 * config_.dim,
          .dropout = config_.dropout,
          .dropout_stream = blocks_made_++};
}

AttentionOptions Unet::attention_options(int64_t level, int64_t channels) const {
  return {.channels = channels,
          .heads = config_.heads_at(level),
          .dim_head = config_.dim_head_at(level),
          .mem_kv = config_.mem_kv};
}

template <class Resample>
std::unique_ptr<Unet::Level<Resample>> Unet::make_level(const LevelOptions& o) {
  auto level = std::make_unique<Level<Resample>>();
  level->block1 = std::make_unique<ResnetBlock>(block_options(o.block_in, o.width), device());
  level->block2 = std::make_unique<ResnetBlock>(block_options(o.block_in, o.width), device());
  const AttentionOptions attention = attention_options(o.level, o.width);
  if (config_.full_attention_at(o.level)) {
    level->attention = std::make_unique<Attention>(attention, device());
  } else {
    level->attention = std::make_unique<LinearAttention>(attention, device());
  }
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

Unet::Unet(const UnetConfig& config, Device device)
    : Network(device),
      config_(checked(config)),
      init_conv_({.in_channels = config.input_channels(),
                  .out_channels = config.first_width(),
                  .kernel = 7,
                  .padding = 3},
                 device),
      time_mlp_(config, device),
      mid_block1_(block_options(middle_width(config), middle_width(config)), device),
      mid_attn_(attention_options(config.levels() - 1, middle_width(config)), device),
      mid_block2_(block_options(middle_width(config), middle_width(config)), device),
      final_res_block_(block_options(2 * config.first_width(), config.first_width()), device),
      final_conv_({.in_channels = config.first_width(),
                   .out_channels = config.output_channels(),
                   .kernel = 1},
                  device) {
  add("init_conv", init_conv_);
  add("time_mlp", time_mlp_);
  if (config.classes > 0) {
    class_embedding_ = std::make_unique<ClassEmbedding>(
        ClassEmbedding::Options{.classes = config.classes, .width = 4 * config.dim}, device);
    add("class_embedding", *class_embedding_);
  }
  add("downs", downs_);
  add("ups", ups_);
  add("mid_block1", mid_block1_);
  add("mid_attn", mid_attn_);
  add("mid_block2", mid_block2_);
  add("final_res_block", final_res_block_);
  add("final_conv", final_conv_);
  const std::vector<int64_t> widths = level_widths(config);
  const int64_t levels = config.levels();
  for (int64_t i = 0; i < levels; ++i) {
    down_.push_back(make_level<Downsample>({.level = i,
                                            .block_in = widths[i],
                                            .width = widths[i],
                                            .out_channels = widths[i + 1],
                                            .resamples = i + 1 < levels}));
    downs_.append(*down_.back());
  }
  for (int64_t i = levels - 1; i >= 0; --i) {
    up_.push_back(make_level<Upsample>({.level = i,
                                        .block_in = widths[i + 1] + widths[i],
                                        .width = widths[i + 1],
                                        .out_channels = widths[i],
                                        .resamples = i > 0}));
    ups_.append(*up_.back());
  }
}

Variable Unet::first_convolution(const NetworkInput& input) const {
  Variable estimate = input.estimate;
  if (config_.self_condition && !estimate.defined())
    estimate = Variable(Tensor::zeros(input.x.shape(), device()));
  return init_conv_(concat_defined({estimate, input.x, input.condition}));
}

Variable Unet::operator()(const NetworkInput& input) const {
  check_input(input, config_.channels);
  check_condition(input, config_.condition_channels);
  const Shape& shape = input.x.shape();
  config_.check_image(shape[1], shape[2]);
  const int64_t most = images_at_once(shape);
  if (Inference::active() && shape[0] > most) {
    return in_parts(input, most, config_.output_channels());
  }
  const Variable first = first_convolution(input);
  // If blocks are computed again, they outlive this call.
  const auto pass = std::make_shared<const Pass>(
      Pass{.time = embed(input), .dropout_seeds = input.dropout_seeds});
  Variable h = first;
  std::vector<Variable> skips;
  for (const auto& level : down_) {
    h = run([&block = *level->block1, h, pass] { return block(h, *pass); });
    skips.push_back(h);
    h = run([&block = *level->block2, h, pass] { return block(h, *pass); });
    h = run([&attention = *level->attention, h] { return attention(h); });
    skips.push_back(h);
    h = level->resample ? (*level->resample)(h) : (*level->conv)(h);
  }
  h = run([this, h, pass] { return mid_block1_(h, *pass); });
  h = run([this, h] { return mid_attn_(h); });
  h = run([this, h, pass] { return mid_block2_(h, *pass); });
  for (const auto& level : up_) {
    for (const ResnetBlock* block : {level->block1.get(), level->block2.get()}) {
      h = run([block, h, pass, skip = skips.back()] { return (*block)(h, *pass, &skip); });
      skips.pop_back();
    }
    h = run([&attention = *level->attention, h] { return attention(h); });
    h = level->resample ? (*level->resample)(h) : (*level->conv)(h);
  }
  h = run([this, h, pass, first] { return final_res_block_(h, *pass, &first); });
  return final_conv_(h);
}

Variable Unet::embed(const NetworkInput& input) const {
  const Variable time = time_mlp_(input.t);
  return class_embedding_ ? ddpm::add(time, (*class_embedding_)(input.labels)) : time;
}

// All heads of the first attention are the largest activation.
int64_t Unet::images_at_once(const Shape& x) const {
  const int64_t widest = config_.heads_at(0) * config_.dim_head_at(0);
  return ddpm::images_at_once(device(), {x[1], x[2], widest});
}

std::unique_ptr<Network> UnetConfig::make(Device device) const {
  return std::make_unique<Unet>(*this, device);
}

}  // namespace ddpm::lucidrains
