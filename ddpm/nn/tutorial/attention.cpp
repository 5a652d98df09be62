#include "ddpm/nn/tutorial/attention.h"

namespace ddpm::tutorial {
namespace {

Conv2dOptions qkv_options(const AttentionOptions& options) {
  return {.in_channels = options.in_channels,
          .out_channels = 3 * options.num_heads * options.dim_head,
          .kernel = 1,
          .bias = false};
}

Conv2dOptions output_options(const AttentionOptions& options) {
  return {.in_channels = options.num_heads * options.dim_head,
          .out_channels = options.in_channels,
          .kernel = 1};
}

}  // namespace

Attention::Attention(const AttentionOptions& options, Device device)
    : options_(options),
      input_to_qkv_(qkv_options(options), device),
      to_output_(output_options(options), device) {
  add("input_to_qkv", input_to_qkv_);
  add("to_output", to_output_);
}

Variable Attention::operator()(const Variable& x, const Variable* residual) const {
  const Variable y = to_output_(attention(input_to_qkv_(x), {.heads = options_.num_heads}));
  return residual ? ddpm::add(y, *residual) : y;
}

LinearAttention::LinearAttention(const AttentionOptions& options, Device device)
    : options_(options),
      input_to_qkv_(qkv_options(options), device),
      to_output_0_(output_options(options), device),
      to_output_1_({.groups = 1, .channels = options.in_channels}, device) {
  add("input_to_qkv", input_to_qkv_);
  add("to_output.0", to_output_0_);
  add("to_output.1", to_output_1_);
}

Variable LinearAttention::operator()(const Variable& x, const Variable* residual) const {
  return to_output_1_(linear_attention(x, input_to_qkv_.weight(), to_output_0_.weight(),
                                       to_output_0_.bias(), {.heads = options_.num_heads}),
                      residual);
}

}  // namespace ddpm::tutorial
