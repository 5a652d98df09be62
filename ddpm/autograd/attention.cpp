#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {
namespace {

// The number of channels of all heads together, from the channels of qkv.
int64_t check_heads(const char* where, const Shape& qkv, const AttentionArgs& args) {
  check_rank(where, "qkv", qkv, 4);
  if (args.heads < 1 || qkv[3] % (3 * args.heads) != 0) {
    fail(where,
         fmt::format("qkv {} does not hold q, k and v of {} heads each", qkv.str(), args.heads));
  }
  return qkv[3] / 3;
}

// width: of all heads together; width_axis: which axis of the memory counts the channels of a head.
void check_memory(const char* where, const Variable* memory, const AttentionArgs& args,
                  int64_t width, int width_axis) {
  if (memory == nullptr) return;
  const Shape& shape = memory->shape();
  check_rank(where, "memory", shape, 4);
  const int64_t head = width / args.heads;
  check_shape(
      where, "memory", shape,
      {2, args.heads, width_axis == 2 ? head : shape[2], width_axis == 3 ? head : shape[3]});
  if (shape.elements() == 0) fail(where, fmt::format("memory {} is empty", shape.str()));
}

const Tensor* value_of(const Variable* variable) { return variable ? &variable->value() : nullptr; }

// In a closure, an undefined tensor stands for an optional one that is absent.
const Tensor* pointer_to(const Tensor& tensor) { return tensor.defined() ? &tensor : nullptr; }
Tensor* pointer_to(Tensor& tensor) { return tensor.defined() ? &tensor : nullptr; }

}  // namespace

Variable attention(const Variable& qkv, const AttentionArgs& args, const Variable* memory) {
  const int64_t width = check_heads("attention", qkv.shape(), args);
  check_memory("attention", memory, args, width, 3);
  const Tensor& value = qkv.value();
  const int64_t images = value.size(0), positions = value.size(1) * value.size(2);
  Tensor out = beside(value, {images, value.size(1), value.size(2), width});
  Tensor logsumexp = beside(value, {images, args.heads, positions});
  backend_for(out.device())
      .run(op::Attention{.args = args,
                         .qkv = value,
                         .memory = value_of(memory),
                         .out = out,
                         .logsumexp = logsumexp});
  if (!Tape::recording({&qkv, memory})) return Variable(out);
  return Tape::record(out, [args, value, out, logsumexp, slot = qkv.slot(),
                            kv = memory ? memory->value() : Tensor(),
                            ms = memory ? memory->slot() : nullptr](Tensor dout) {
    Tensor dqkv = like(value), dmemory = kv.defined() ? like(kv) : Tensor();
    backend_for(dout.device())
        .run(op::AttentionBackward{.args = args,
                                   .dout = dout,
                                   .qkv = value,
                                   .memory = pointer_to(kv),
                                   .out = out,
                                   .logsumexp = logsumexp,
                                   .dqkv = dqkv,
                                   .dmemory = pointer_to(dmemory)});
    if (slot) slot->accumulate(std::move(dqkv));
    if (ms) ms->accumulate(std::move(dmemory));
  });
}

Variable linear_attention(const Variable& qkv, const AttentionArgs& args, const Variable* memory) {
  const int64_t width = check_heads("linear_attention", qkv.shape(), args);
  check_memory("linear_attention", memory, args, width, 2);
  const Tensor& value = qkv.value();
  const int64_t images = value.size(0), head = width / args.heads;
  Tensor out = beside(value, {images, value.size(1), value.size(2), width});
  Tensor context = beside(value, {images, args.heads, head, head});
  Tensor k_max = beside(value, {images, width}), k_sum = beside(value, {images, width});
  backend_for(out.device())
      .run(op::LinearAttention{.args = args,
                               .qkv = value,
                               .memory = value_of(memory),
                               .out = out,
                               .context = context,
                               .k_max = k_max,
                               .k_sum = k_sum});
  if (!Tape::recording({&qkv, memory})) return Variable(out);
  return Tape::record(out, [args, value, context, k_max, k_sum, slot = qkv.slot(),
                            kv = memory ? memory->value() : Tensor(),
                            ms = memory ? memory->slot() : nullptr](Tensor dout) {
    // These are the largest tensors of a network. If nothing else uses qkv, its gradient overwrites
    // it.
    Tensor dqkv = value.unique() ? value : like(value);
    Tensor dmemory = kv.defined() ? like(kv) : Tensor();
    backend_for(dout.device())
        .run(op::LinearAttentionBackward{.args = args,
                                         .dout = dout,
                                         .qkv = value,
                                         .memory = pointer_to(kv),
                                         .context = context,
                                         .k_max = k_max,
                                         .k_sum = k_sum,
                                         .dqkv = dqkv,
                                         .dmemory = pointer_to(dmemory)});
    if (slot) slot->accumulate(std::move(dqkv));
    if (ms) ms->accumulate(std::move(dmemory));
  });
}

Variable linear_attention(const Variable& x, const Variable& w_qkv, const Variable& w_out,
                          const Variable& bias, const AttentionArgs& args, const Variable* memory) {
  check_rank("linear_attention", "x", x.shape(), 4);
  check_rank("linear_attention", "w_qkv", w_qkv.shape(), 4);
  check_rank("linear_attention", "w_out", w_out.shape(), 4);
  const int64_t images = x.shape()[0], channels = x.shape()[3], outputs = w_out.shape()[3];
  const int64_t width = check_heads("linear_attention", w_qkv.shape(), args);
  check_shape("linear_attention", "w_qkv", w_qkv.shape(), {1, 1, channels, 3 * width});
  check_shape("linear_attention", "w_out", w_out.shape(), {1, 1, width, outputs});
  check_shape("linear_attention", "bias", bias.shape(), {outputs});
  check_memory("linear_attention", memory, args, width, 2);
  Backend& backend = backend_for(x.value().device());
  if (!backend.projects_attention(x.shape())) {
    return conv2d(linear_attention(conv2d(x, w_qkv, nullptr, {}), args, memory), w_out, &bias, {});
  }
  const Tensor& xv = x.value();
  Tensor y = beside(xv, {images, xv.size(1), xv.size(2), outputs});
  LinearAttentionSums sums{.k_max = beside(xv, {images, width}),
                           .k_sum = beside(xv, {images, width}),
                           .gathered = beside(xv, {images, width, channels})};
  backend.run(op::ProjectedLinearAttention{.args = args,
                                           .x = xv,
                                           .w = {w_qkv.value(), w_out.value(), bias.value()},
                                           .memory = value_of(memory),
                                           .y = y,
                                           .sums = sums});
  if (!Tape::recording({&x, &w_qkv, &w_out, &bias, memory})) return Variable(y);
  return Tape::record(
      y, [args, x = x.saved(), xs = x.slot(), qkv = w_qkv.value(), qs = w_qkv.slot(),
          out = w_out.value(), os = w_out.slot(), bv = bias.value(), bs = bias.slot(), sums,
          kv = memory ? memory->value() : Tensor(),
          ms = memory ? memory->slot() : nullptr](Tensor dy) {
        const Tensor xv = x.get();
        Tensor dx = like(xv), dqkv = like(qkv), dout = like(out), dbias = like(bv);
        Tensor dmemory = kv.defined() ? like(kv) : Tensor();
        backend_for(dy.device())
            .run(op::ProjectedLinearAttentionBackward{.args = args,
                                                      .dy = dy,
                                                      .x = xv,
                                                      .w = {qkv, out, bv},
                                                      .memory = pointer_to(kv),
                                                      .sums = sums,
                                                      .dx = dx,
                                                      .dw_qkv = dqkv,
                                                      .dw_out = dout,
                                                      .dbias = dbias,
                                                      .dmemory = pointer_to(dmemory)});
        if (xs) xs->accumulate(std::move(dx));
        if (qs) qs->accumulate(std::move(dqkv));
        if (os) os->accumulate(std::move(dout));
        if (bs) bs->accumulate(std::move(dbias));
        if (ms) ms->accumulate(std::move(dmemory));
      });
}

}  // namespace ddpm
