// Convolutions: turns tensors into pointers and extents, and adds what the kernels do not know: two
// inputs, standardized weights, weights that are kept. A linear layer is a convolution as well.
#include "ddpm/kernels/cpu/ops/cpu_backend.h"

#include <algorithm>
#include <memory>

#include "ddpm/kernels/cpu/conv/conv.h"
#include "ddpm/kernels/cpu/conv/few_channels.h"
#include "ddpm/kernels/cpu/norm/weight_standardization.h"
#include "ddpm/kernels/cpu/ops/conv_select.h"
#include "ddpm/kernels/cpu/winograd/winograd.h"

namespace ddpm {
namespace {

cpu::ConvShape conv_shape(const ConvArgs& args, const Tensor& x, const Tensor& w) {
  return {.batch = x.size(0),
          .height = x.size(1),
          .width = x.size(2),
          // Not those of x, which may hold only a part of them.
          .channels = w.size(2),
          .kernel_height = w.size(0),
          .kernel_width = w.size(1),
          .outputs = w.size(3),
          .stride = args.stride,
          .padding = args.padding};
}

// A linear layer is a 1 x 1 convolution of an image of one column.
cpu::ConvShape linear_shape(const Tensor& rows, const Tensor& w) {
  const int64_t count = rows.elements() / std::max<int64_t>(1, rows.size(-1));
  return {.height = count, .channels = w.size(0), .outputs = w.size(1)};
}

const float* data_of(const Tensor* tensor) { return tensor ? tensor->f32() : nullptr; }

cpu::WinogradWeights winograd_weights(const ConvWeights& w) {
  return {w.w.f32(), data_of(w.mean), data_of(w.rstd)};
}

cpu::SplitMap<const float> split_map(const ConvInput& x) {
  return {x.x.f32(), x.x.size(3), data_of(x.more)};
}

// The direct convolution reads plain weights and one input.
Tensor standardized(const ConvWeights& w) {
  if (!w.mean) return w.w;
  Tensor result(w.w.shape());
  const int64_t outputs = w.w.size(3);
  cpu::standardize_weights(w.w.f32(), w.w.elements() / outputs, outputs, w.mean->f32(),
                           w.rstd->f32(), result.f32());
  return result;
}

// In a 1x1 kernel each of two inputs has rows of its own, so the inputs need not be concatenated.
// With few channels a second pass over the outputs would cost more than the concatenation.
struct Halves {
  cpu::ConvShape first, second;
  int64_t second_weights;  // where those of the second input begin
};
Halves halves_of(const cpu::ConvShape& s, int64_t first_channels) {
  Halves halves = {s, s, first_channels * s.outputs};
  halves.first.channels = first_channels;
  halves.second.channels = s.channels - first_channels;
  return halves;
}
bool falls_apart(const cpu::ConvShape& s, int64_t first_channels) {
  constexpr int64_t kLeastChannels = 32;
  return s.kernel_height == 1 && s.kernel_width == 1 &&
         std::min(first_channels, s.channels - first_channels) >= kLeastChannels;
}

Tensor concatenated(CpuBackend& backend, const ConvInput& x) {
  if (!x.more) return x.x;
  Tensor all({x.x.size(0), x.x.size(1), x.x.size(2), x.channels()});
  backend.run(op::ConcatChannels{.a = x.x, .b = *x.more, .y = all});
  return all;
}

bool few(cpu::ConvAlgorithm algorithm) { return algorithm == cpu::ConvAlgorithm::kFewChannels; }

// What is kept for weights that do not change: what the algorithm of the last call made of them.
struct PreparedConv {
  std::unique_ptr<cpu::PreparedWinograd> winograd;
  Tensor standardized;
};

PreparedConv* prepared_conv(const ConvWeights& w) {
  if (!w.prepared) return nullptr;
  if (!*w.prepared) *w.prepared = std::make_shared<PreparedConv>();
  return static_cast<PreparedConv*>(w.prepared->get());
}

}  // namespace

void CpuBackend::run(const op::Conv2d& o) {
  const cpu::ConvShape s = conv_shape(o.args, o.x.x, o.w.w);
  const cpu::ConvAlgorithm algorithm = cpu::conv_algorithm(s, cpu::ConvPass::kForward, o.training);
  const int64_t m = cpu::tile_of(algorithm);
  PreparedConv* prepared = prepared_conv(o.w);
  if (m > 1) {
    if (prepared && (!prepared->winograd || prepared->winograd->tile() != m)) {
      prepared->winograd = std::make_unique<cpu::PreparedWinograd>(m, s, winograd_weights(o.w));
    }
    cpu::conv_winograd(m, s, split_map(o.x), winograd_weights(o.w), data_of(o.bias), o.y.f32(),
                       prepared ? prepared->winograd.get() : nullptr);
    return;
  }
  Tensor weights = prepared ? prepared->standardized : Tensor();
  if (!weights.defined()) weights = standardized(o.w);
  if (prepared) prepared->standardized = weights;
  if (o.x.more && falls_apart(s, o.x.x.size(3))) {
    return cpu::conv_pointwise(s, split_map(o.x), weights.f32(), data_of(o.bias), o.y.f32());
  }
  const auto kernel = few(algorithm) ? cpu::conv_few : cpu::conv_direct;
  kernel(s, concatenated(*this, o.x).f32(), weights.f32(), data_of(o.bias), o.y.f32());
}

void CpuBackend::run(const op::Conv2dBackwardData& o) {
  const cpu::ConvShape s = conv_shape(o.args, o.dx, o.w.w);
  const cpu::ConvAlgorithm algorithm =
      cpu::conv_algorithm(s, cpu::ConvPass::kBackwardData, o.training);
  const int64_t m = cpu::tile_of(algorithm);
  if (m > 1) {
    cpu::conv_winograd_backward_data(
        m, s, o.dy.f32(), winograd_weights(o.w),
        {o.dx.f32(), o.dx.size(3), o.dmore ? o.dmore->f32() : nullptr});
    return;
  }
  const Tensor weights = standardized(o.w);
  if (o.dmore && falls_apart(s, o.dx.size(3))) {
    const Halves h = halves_of(s, o.dx.size(3));
    cpu::conv_direct_backward_data(h.first, o.dy.f32(), weights.f32(), o.dx.f32());
    cpu::conv_direct_backward_data(h.second, o.dy.f32(), weights.f32() + h.second_weights,
                                   o.dmore->f32());
    return;
  }
  Tensor all = o.dmore ? Tensor({s.batch, s.height, s.width, s.channels}) : o.dx;
  const auto kernel = few(algorithm) ? cpu::conv_few_backward_data : cpu::conv_direct_backward_data;
  kernel(s, o.dy.f32(), weights.f32(), all.f32());
  if (o.dmore) run(op::SplitChannels{.y = all, .a = &o.dx, .b = o.dmore});
}

void CpuBackend::run(const op::Conv2dBackwardWeights& o) {
  const cpu::ConvShape s = conv_shape(o.args, o.x.x, o.dw);
  const cpu::ConvAlgorithm algorithm =
      cpu::conv_algorithm(s, cpu::ConvPass::kBackwardWeights, true);
  const int64_t m = cpu::tile_of(algorithm);
  float* bias = o.dbias ? o.dbias->f32() : nullptr;
  if (m > 1) {
    cpu::conv_winograd_backward_weights(m, s, split_map(o.x), o.dy.f32(), o.dw.f32(), bias);
    return;
  }
  if (o.x.more && falls_apart(s, o.x.x.size(3))) {
    const Halves h = halves_of(s, o.x.x.size(3));
    cpu::conv_direct_backward_weights(h.first, o.x.x.f32(), o.dy.f32(), o.dw.f32(), bias);
    cpu::conv_direct_backward_weights(h.second, o.x.more->f32(), o.dy.f32(),
                                      o.dw.f32() + h.second_weights, nullptr);
    return;
  }
  const auto kernel =
      few(algorithm) ? cpu::conv_few_backward_weights : cpu::conv_direct_backward_weights;
  kernel(s, concatenated(*this, o.x).f32(), o.dy.f32(), o.dw.f32(), bias);
}

int64_t CpuBackend::prepared_bytes(const op::Conv2d& o) const {
  const cpu::ConvShape s = conv_shape(o.args, o.x.x, o.w.w);
  const int64_t m = cpu::tile_of(cpu::conv_algorithm(s, cpu::ConvPass::kForward, o.training));
  if (m > 1) return cpu::PreparedWinograd::bytes(m, s);
  return o.w.mean ? o.w.w.bytes() : 0;
}

std::string CpuBackend::algorithm(const op::Conv2d& o) const {
  return cpu::describe_algorithm(conv_shape(o.args, o.x.x, o.w.w), cpu::ConvPass::kForward,
                                 o.training);
}

std::string CpuBackend::algorithm(const op::Conv2dBackwardData& o) const {
  return cpu::describe_algorithm(conv_shape(o.args, o.dx, o.w.w), cpu::ConvPass::kBackwardData,
                                 o.training);
}

std::string CpuBackend::algorithm(const op::Conv2dBackwardWeights& o) const {
  return cpu::describe_algorithm(conv_shape(o.args, o.x.x, o.dw), cpu::ConvPass::kBackwardWeights,
                                 true);
}

void CpuBackend::run(const op::Linear& o) {
  cpu::conv_direct(linear_shape(o.x, o.w), o.x.f32(), o.w.f32(), data_of(o.bias), o.y.f32());
}

void CpuBackend::run(const op::LinearBackwardData& o) {
  cpu::conv_direct_backward_data(linear_shape(o.dy, o.w), o.dy.f32(), o.w.f32(), o.dx.f32());
}

void CpuBackend::run(const op::LinearBackwardWeights& o) {
  cpu::conv_direct_backward_weights(linear_shape(o.x, o.dw), o.x.f32(), o.dy.f32(), o.dw.f32(),
                                    o.dbias ? o.dbias->f32() : nullptr);
}

}  // namespace ddpm
