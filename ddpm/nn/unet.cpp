#include "ddpm/nn/unet.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ddpm/autograd/inference.h"
#include "ddpm/autograd/recompute.h"
#include "ddpm/base/error.h"
#include "ddpm/base/options.h"

namespace ddpm {
namespace {

// Widths that the convolutions of a level lead to and from: [init_dim, dim * m0, dim * m1, ...].
std::vector<int64_t> level_widths(const UnetConfig& config) {
  std::vector<int64_t> widths = {config.first_width()};
  for (int64_t mult : config.dim_mults) widths.push_back(config.dim * mult);
  return widths;
}

// check() before any member is built from the configuration.
const UnetConfig& checked(const UnetConfig& config) {
  config.check();
  return config;
}

void check_positive(const char* name, int64_t value, int64_t lowest) {
  constexpr int64_t kHighest = 1 << 20;
  if (value < lowest || value > kHighest) {
    fail_usage("unet", fmt::format("{} is {} but must lie between {} and {}", name, value, lowest,
                                   kHighest));
  }
}

}  // namespace

void UnetConfig::check() const {
  check_positive("dim", dim, 2);
  check_positive("channels", channels, 1);
  check_positive("init_dim", init_dim, 0);
  check_positive("output_dim", output_dim, 0);
  check_positive("attention_heads", attention_heads, 1);
  check_positive("attention_dim_head", attention_dim_head, 1);
  check_positive("resnet_block_groups", resnet_block_groups, 1);
  if (dim_mults.empty() || dim_mults.size() > 16) {
    fail_usage("unet",
               fmt::format("dim_mults has {} levels but must have 1 to 16, for example 1,2,4,8",
                           dim_mults.size()));
  }
  for (int64_t mult : dim_mults) check_positive("each of dim_mults", mult, 1);
  if (!(weight_standardization_eps >= 0 && weight_standardization_eps < 1)) {
    fail_usage("unet", fmt::format("weight_standardization_eps is {} but must lie in [0, 1)",
                                   weight_standardization_eps));
  }
  check_positive("attention_heads times attention_dim_head", attention_heads * attention_dim_head,
                 1);
  SinusoidalPositionEmbedding{dim};
  std::vector<int64_t> widths = level_widths(*this);
  widths.push_back(dim);
  for (int64_t width : widths) check_positive("dim times each of dim_mults", width, 1);
  for (int64_t width : widths) {
    if (width % resnet_block_groups == 0) continue;
    std::vector<std::string> works;
    for (int64_t groups = 1; groups <= dim && groups <= 64; ++groups) {
      bool divides_all = true;
      for (int64_t other : widths) divides_all = divides_all && other % groups == 0;
      if (divides_all) works.push_back(std::to_string(groups));
    }
    fail_usage("unet",
               fmt::format(
                   "resnet_block_groups {} does not divide the width {}; {} would divide all of {}",
                   resnet_block_groups, width, join_choices(works), fmt::join(widths, ", ")));
  }
}

void UnetConfig::check_image(int64_t height, int64_t width) const {
  const int64_t divisor = side_divisor();
  constexpr int64_t kHighest = 1 << 20;
  for (const auto& [name, side] : {std::pair{"height", height}, std::pair{"width", width}}) {
    if (side > kHighest) {
      fail_usage("unet",
                 fmt::format("the image's {} is {}; at most {} can be", name, side, kHighest));
    }
    if (side >= divisor && side % divisor == 0) continue;
    const int64_t below = side / divisor * divisor;
    fail_usage("unet", fmt::format("the image's {} {} is not divisible by {}, which {} levels "
                                   "need; {}{} would work, or fewer "
                                   "levels in dim_mults",
                                   name, side, divisor, dim_mults.size(),
                                   below > 0 ? fmt::format("{} or ", below) : "", below + divisor));
  }
}

ResnetBlockOptions DiffusionUnet::block_options(int64_t in_channels, int64_t out_channels) const {
  return {.in_channels = in_channels,
          .out_channels = out_channels,
          .time_emb_dim = 4 * config_.dim,
          .groups = config_.resnet_block_groups,
          .weight_standardization_eps = config_.weight_standardization_eps};
}

template <class Resample>
std::unique_ptr<DiffusionUnet::Level<Resample>> DiffusionUnet::make_level(const LevelOptions& o) {
  auto level = std::make_unique<Level<Resample>>();
  level->block1 = std::make_unique<ResnetBlock>(block_options(o.block_in, o.width), device_);
  level->block2 = std::make_unique<ResnetBlock>(block_options(o.block_in, o.width), device_);
  level->attention = std::make_unique<LinearAttentionLayer>(
      GroupNorm::Options{.groups = 1, .channels = o.width}, device_,
      AttentionOptions{.in_channels = o.width,
                       .num_heads = config_.attention_heads,
                       .dim_head = config_.attention_dim_head},
      device_);
  level->append(*level->block1);
  level->append(*level->block2);
  level->append(*level->attention);
  if (o.resamples) {
    level->resample = std::make_unique<Resample>(
        ResampleOptions{.in_channels = o.width, .out_channels = o.out_channels}, device_);
    level->append(*level->resample);
  } else {
    level->conv = std::make_unique<Conv2d>(
        Conv2dOptions{
            .in_channels = o.width, .out_channels = o.out_channels, .kernel = 3, .padding = 1},
        device_);
    level->append(*level->conv);
  }
  return level;
}

DiffusionUnet::DiffusionUnet(const UnetConfig& config, Device device)
    : config_(checked(config)),
      device_(device),
      init_conv_(
          {.in_channels = config.channels, .out_channels = config.first_width(), .kernel = 1},
          device),
      time_mlp_(config.dim, device),
      mid_block1_(block_options(level_widths(config).back(), level_widths(config).back()), device),
      mid_attention_(GroupNorm::Options{.groups = 1, .channels = level_widths(config).back()},
                     device,
                     AttentionOptions{.in_channels = level_widths(config).back(),
                                      .num_heads = config.attention_heads,
                                      .dim_head = config.attention_dim_head},
                     device),
      mid_block2_(block_options(level_widths(config).back(), level_widths(config).back()), device),
      // The tutorial builds its last up-level for init_dim channels and its last block for 2 dim:
      // with init_dim != dim these disagree. What arrives here are init_dim channels twice.
      final_res_block_(block_options(2 * config.first_width(), config.dim), device),
      final_conv_(
          {.in_channels = config.dim, .out_channels = config.output_channels(), .kernel = 1},
          device) {
  add("init_conv", init_conv_);
  add("time_mlp", time_mlp_);
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

Variable DiffusionUnet::operator()(const Variable& x, const Tensor& t) const {
  const Shape& shape = x.shape();
  if (shape.rank() != 4 || shape[3] != config_.channels) {
    fail("unet", fmt::format("x must be [N, H, W, {}] but is {}", config_.channels, shape.str()));
  }
  config_.check_image(shape[1], shape[2]);
  if (t.shape() != Shape{shape[0]}) {
    fail("unet",
         fmt::format("t must be [{}], one step per image, but is {}", shape[0], t.shape().str()));
  }
  if (Inference::active() && shape[0] > images_at_once(shape)) return in_parts(x.value(), t);
  const Variable time = time_mlp_(t);    // [N, 4 dim]
  const Variable first = init_conv_(x);  // [N, H, W, init_dim]
  Variable h = first;
  std::vector<Variable> skips;
  for (const auto& level : down_) {
    h = run([&block = *level->block1, h, time] { return block(h, &time); });
    skips.push_back(h);
    h = run([&block = *level->block2, h, time] { return block(h, &time); });
    h = run([&attention = *level->attention, h] { return attention(h); });
    skips.push_back(h);
    h = level->resample ? (*level->resample)(h) : (*level->conv)(h);
  }
  h = run([this, h, time] { return mid_block1_(h, &time); });
  h = mid_attention_(h);
  h = run([this, h, time] { return mid_block2_(h, &time); });
  for (const auto& level : up_) {
    for (const ResnetBlock* block : {level->block1.get(), level->block2.get()}) {
      h = run([block, h, time, skip = skips.back()] { return (*block)(h, &time, &skip); });
      skips.pop_back();
    }
    h = run([&attention = *level->attention, h] { return attention(h); });
    h = level->resample ? (*level->resample)(h) : (*level->conv)(h);
  }
  h = run([this, h, time, first] { return final_res_block_(h, &time, &first); });
  return final_conv_(h);
}

// All heads of the first attention are the largest activation.
int64_t DiffusionUnet::images_at_once(const Shape& x) const {
  const int64_t widest = config_.attention_heads * config_.attention_dim_head;
  return ddpm::images_at_once(device_, {x[1], x[2], widest});
}

Variable DiffusionUnet::in_parts(const Tensor& x, const Tensor& t) const {
  const int64_t count = x.size(0),
                parts = (count + images_at_once(x.shape()) - 1) / images_at_once(x.shape());
  Tensor y({count, x.size(1), x.size(2), config_.output_channels()}, DType::kFloat32, device_);
  // Where nothing is computed the largest part, twice, tells what all would take: the second time
  // with all prepared weights, as every part but the first.
  if (!holds_values(device_)) {
    const int64_t rows = (count + parts - 1) / parts;
    for (int pass = 0; pass < 2; ++pass) {
      (*this)(Variable(x.rows(0, rows)), t.rows(0, rows));
    }
    return Variable(y);
  }
  for (int64_t i = 0; i < parts; ++i) {
    const int64_t begin = count * i / parts, end = count * (i + 1) / parts;
    Tensor rows = y.rows(begin, end);
    rows.copy_from((*this)(Variable(x.rows(begin, end)), t.rows(begin, end)).value());
  }
  return Variable(y);
}

// Blocks hold copies of what they read (which share its storage): the tape keeps them until the
// backward pass.
Variable DiffusionUnet::run(const std::function<Variable()>& block) const {
  return recompute_ ? recompute(block) : block();
}

}  // namespace ddpm
