#include "ddpm/nn/lucidrains/attention.h"

namespace ddpm::lucidrains {
namespace {

Conv2dOptions qkv_options(const AttentionOptions& options) {
  return {.in_channels = options.channels,
          .out_channels = 3 * options.heads * options.dim_head,
          .kernel = 1,
          .bias = false};
}

Conv2dOptions output_options(const AttentionOptions& options) {
  return {.in_channels = options.heads * options.dim_head,
          .out_channels = options.channels,
          .kernel = 1};
}

Parameter memory(Shape shape, Device device) {
  return {.variable = Variable::leaf(Tensor::zeros(shape, device)), .init_deviation = 1};
}

}  // namespace

Attention::Attention(const AttentionOptions& options, Device device)
    : options_(options),
      mem_kv_(memory({2, options.heads, options.mem_kv, options.dim_head}, device)),
      norm_(options.channels, device),
      to_qkv_(qkv_options(options), device),
      to_out_(output_options(options), device) {
  add("mem_kv", mem_kv_);
  add("norm", norm_);
  add("to_qkv", to_qkv_);
  add("to_out", to_out_);
}

Variable Attention::operator()(const Variable& x) const {
  return ddpm::add(
      to_out_(attention(to_qkv_(norm_(x)), {.heads = options_.heads}, &mem_kv_.variable)), x);
}

LinearAttention::LinearAttention(const AttentionOptions& options, Device device)
    : options_(options),
      mem_kv_(memory({2, options.heads, options.dim_head, options.mem_kv}, device)),
      norm_(options.channels, device),
      to_qkv_(qkv_options(options), device),
      to_out_0_(output_options(options), device),
      to_out_1_(options.channels, device) {
  add("mem_kv", mem_kv_);
  add("norm", norm_);
  add("to_qkv", to_qkv_);
  add("to_out.0", to_out_0_);
  add("to_out.1", to_out_1_);
}

Variable LinearAttention::operator()(const Variable& x) const {
  return to_out_1_(linear_attention(norm_(x), to_qkv_.weight(), to_out_0_.weight(),
                                    to_out_0_.bias(), {.heads = options_.heads}, &mem_kv_.variable),
                   &x);
}

}  // namespace ddpm::lucidrains
