#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"

namespace ddpm {
namespace {

// The width of all heads together, from qkv's channels.
int64_t check_heads(const char* where, const Shape& qkv, const AttentionArgs& args) {
  check_rank(where, "qkv", qkv, 4);
  if (args.heads < 1 || qkv[3] % (3 * args.heads) != 0) {
    fail(where,
         fmt::format("qkv {} does not hold q, k and v of {} heads each", qkv.str(), args.heads));
  }
  return qkv[3] / 3;
}

}  // namespace

Variable attention(const Variable& qkv, const AttentionArgs& args) {
  const int64_t width = check_heads("attention", qkv.shape(), args);
  const Tensor& value = qkv.value();
  const int64_t images = value.size(0), positions = value.size(1) * value.size(2);
  Tensor out = beside(value, {images, value.size(1), value.size(2), width});
  Tensor logsumexp = beside(value, {images, args.heads, positions});
  backend_for(out.device()).attention(args, value, out, logsumexp);
  if (!Tape::recording({&qkv})) return Variable(out);
  return Tape::record(out, [args, value, out, logsumexp, slot = qkv.slot()](Tensor dout) {
    Tensor dqkv = like(value);
    backend_for(dout.device()).attention_backward(args, dout, value, out, logsumexp, dqkv);
    slot->accumulate(std::move(dqkv));
  });
}

Variable linear_attention(const Variable& qkv, const AttentionArgs& args) {
  const int64_t width = check_heads("linear_attention", qkv.shape(), args);
  const Tensor& value = qkv.value();
  const int64_t images = value.size(0), head = width / args.heads;
  Tensor out = beside(value, {images, value.size(1), value.size(2), width});
  Tensor context = beside(value, {images, args.heads, head, head});
  Tensor k_max = beside(value, {images, width}), k_sum = beside(value, {images, width});
  backend_for(out.device()).linear_attention(args, value, out, context, k_max, k_sum);
  if (!Tape::recording({&qkv})) return Variable(out);
  return Tape::record(out, [args, value, context, k_max, k_sum, slot = qkv.slot()](Tensor dout) {
    // The largest tensors of a network: where nobody else holds qkv, its gradient takes its place.
    Tensor dqkv = value.unique() ? value : like(value);
    backend_for(dout.device())
        .linear_attention_backward(args, dout, value, context, k_max, k_sum, dqkv);
    slot->accumulate(std::move(dqkv));
  });
}

Variable linear_attention(const Variable& x, const Variable& w, const AttentionArgs& args) {
  if (Tape::recording({&x, &w})) return linear_attention(conv2d(x, w, nullptr, {}), args);
  check_rank("linear_attention", "x", x.shape(), 4);
  check_rank("linear_attention", "w", w.shape(), 4);
  const int64_t width = check_heads("linear_attention", w.shape(), args);
  check_shape("linear_attention", "w", w.shape(), {1, 1, x.shape()[3], 3 * width});
  Tensor out = beside(x.value(), {x.shape()[0], x.shape()[1], x.shape()[2], width});
  backend_for(out.device()).projected_linear_attention(args, x.value(), w.value(), out);
  return Variable(out);
}

}  // namespace ddpm
