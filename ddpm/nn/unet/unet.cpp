#include "ddpm/nn/unet/unet.h"

#include <utility>

#include "ddpm/autograd/functions.h"
#include "ddpm/autograd/inference.h"

namespace ddpm {

// Each block has its own stream of random numbers for dropout.
std::unique_ptr<UnetBlock> UnetNetwork::make_block(const UnetParts& parts, int64_t in,
                                                   int64_t out) {
  return parts.block(in, out,
                     {.time_emb_dim = 4 * options_.dim,
                      .dropout = options_.dropout,
                      .dropout_stream = blocks_made_++});
}

template <class Resample>
std::unique_ptr<UnetNetwork::Level<Resample>> UnetNetwork::make_level(const UnetParts& parts,
                                                                      const LevelOptions& o) {
  auto level = std::make_unique<Level<Resample>>();
  level->block1 = make_block(parts, o.block_in, o.width);
  level->block2 = make_block(parts, o.block_in, o.width);
  level->attention = parts.attention(o.level, o.width);
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

UnetNetwork::UnetNetwork(UnetOptions options, const UnetParts& parts, Device device)
    : Network(device),
      init_conv_({.in_channels = options.input_channels(),
                  .out_channels = options.first_width(),
                  .kernel = parts.first_kernel,
                  .padding = parts.first_kernel / 2},
                 device),
      final_conv_(
          {.in_channels = parts.last_width, .out_channels = options.output_channels(), .kernel = 1},
          device),
      options_(std::move(options)),
      widest_(parts.widest) {
  const std::vector<int64_t> widths = options_.widths();
  const int64_t levels = options_.levels();
  if (options_.classes > 0) {
    class_embedding_ = std::make_unique<ClassEmbedding>(
        ClassEmbedding::Options{.classes = options_.classes, .width = 4 * options_.dim}, device);
  }
  mid_block1_ = make_block(parts, widths.back(), widths.back());
  mid_attention_ = parts.middle_attention(widths.back());
  mid_block2_ = make_block(parts, widths.back(), widths.back());
  final_res_block_ = make_block(parts, 2 * options_.first_width(), parts.last_width);
  for (int64_t i = 0; i < levels; ++i) {
    down_.push_back(make_level<Downsample>(parts, {.level = i,
                                                   .block_in = widths[i],
                                                   .width = widths[i],
                                                   .out_channels = widths[i + 1],
                                                   .resamples = i + 1 < levels}));
    downs_.append(*down_.back());
  }
  for (int64_t i = levels - 1; i >= 0; --i) {
    up_.push_back(make_level<Upsample>(parts, {.level = i,
                                               .block_in = widths[i + 1] + widths[i],
                                               .width = widths[i + 1],
                                               .out_channels = widths[i],
                                               .resamples = i > 0}));
    ups_.append(*up_.back());
  }
}

void UnetNetwork::add_class_embedding() {
  if (class_embedding_) add("class_embedding", *class_embedding_);
}

OptionalInputs UnetNetwork::takes() const {
  return {.labels = options_.classes > 0,
          .condition = options_.condition_channels > 0,
          .estimate = options_.self_condition,
          .augment = options_.augment_channels > 0,
          .dropout = options_.dropout > 0};
}

Variable UnetNetwork::embed(const NetworkInput& input) const {
  const Variable time = embed_time(input.t, input.augment);
  return class_embedding_ ? ddpm::add(time, (*class_embedding_)(input.labels)) : time;
}

Variable UnetNetwork::operator()(const NetworkInput& input) const {
  check_input(input, options_.channels);
  check_condition(input, options_.condition_channels);
  check_augment(input, options_.augment_channels);
  const Shape& shape = input.x.shape();
  check_sides(shape[1], shape[2], options_.levels());
  const int64_t most = images_at_once(device(), {shape[1], shape[2], widest_});
  if (Inference::active() && shape[0] > most) {
    return in_parts(input, most, options_.output_channels());
  }
  Variable estimate = input.estimate;
  if (options_.self_condition && !estimate.defined())
    estimate = Variable(Tensor::zeros(shape, device()));
  const Variable first = init_conv_(join(input.x, estimate, input.condition));
  // If blocks are computed again, they outlive this call.
  const auto pass = std::make_shared<const UnetPass>(
      UnetPass{.time = embed(input), .dropout_seeds = input.dropout_seeds});
  const auto through = [this, &pass](const UnetBlock& block, const Variable& x,
                                     const Variable& more = {}) {
    return run(block, [&block, x, more, pass] {
      return block(x, *pass, more.defined() ? &more : nullptr);
    });
  };
  const auto attend = [this](const UnetAttention& attention, const Variable& x) {
    return run(attention, [&attention, x] { return attention(x); });
  };
  Variable h = first;
  std::vector<Variable> skips;
  for (const auto& level : down_) {
    h = through(*level->block1, h);
    skips.push_back(h);
    h = through(*level->block2, h);
    h = attend(*level->attention, h);
    skips.push_back(h);
    h = level->resample ? (*level->resample)(h) : (*level->conv)(h);
  }
  h = through(*mid_block1_, h);
  h = attend(*mid_attention_, h);
  h = through(*mid_block2_, h);
  for (const auto& level : up_) {
    for (const UnetBlock* block : {level->block1.get(), level->block2.get()}) {
      h = through(*block, h, skips.back());
      skips.pop_back();
    }
    h = attend(*level->attention, h);
    h = level->resample ? (*level->resample)(h) : (*level->conv)(h);
  }
  h = through(*final_res_block_, h, first);
  return final_conv_(h);
}

}  // namespace ddpm
