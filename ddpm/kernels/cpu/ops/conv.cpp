// Convolutions: tensors in, pointers and extents out, and what the layers of pointers do not know:
// two inputs, standardized weights, weights that are kept. A linear layer is a convolution as well.
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
          .channels = w.size(2),  // x may bring a part of them
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

// The rows of a 1x1 kernel fall apart by input, so that nothing need be concatenated for it. With
// few channels a second pass over the outputs costs more than the concatenation.
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
  backend.concat_channels(x.x, *x.more, all);
  return all;
}

bool few(cpu::ConvAlgorithm algorithm) { return algorithm == cpu::ConvAlgorithm::kFewChannels; }

// What is kept with weights that stay: those of the algorithm that the last call took.
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

void CpuBackend::conv2d(const ConvArgs& args, const ConvInput& x, const ConvWeights& w,
                        const Tensor* bias, Tensor& y) {
  const cpu::ConvShape s = conv_shape(args, x.x, w.w);
  const cpu::ConvAlgorithm algorithm = cpu::conv_algorithm(s, ConvPass::kForward, args.by_batch);
  const int64_t m = cpu::tile_of(algorithm);
  PreparedConv* prepared = prepared_conv(w);
  if (m > 1) {
    if (prepared && (!prepared->winograd || prepared->winograd->tile() != m)) {
      prepared->winograd = std::make_unique<cpu::PreparedWinograd>(m, s, winograd_weights(w));
    }
    cpu::conv_winograd(m, s, split_map(x), winograd_weights(w), data_of(bias), y.f32(),
                       prepared ? prepared->winograd.get() : nullptr);
    return;
  }
  Tensor weights = prepared ? prepared->standardized : Tensor();
  if (!weights.defined()) weights = standardized(w);
  if (prepared) prepared->standardized = weights;
  if (x.more && falls_apart(s, x.x.size(3))) {
    return cpu::conv_pointwise(s, split_map(x), weights.f32(), data_of(bias), y.f32());
  }
  const auto run = few(algorithm) ? cpu::conv_few : cpu::conv_direct;
  run(s, concatenated(*this, x).f32(), weights.f32(), data_of(bias), y.f32());
}

void CpuBackend::conv2d_backward_data(const ConvArgs& args, const Tensor& dy, const ConvWeights& w,
                                      Tensor& dx, Tensor* dmore) {
  const cpu::ConvShape s = conv_shape(args, dx, w.w);
  const cpu::ConvAlgorithm algorithm =
      cpu::conv_algorithm(s, ConvPass::kBackwardData, args.by_batch);
  const int64_t m = cpu::tile_of(algorithm);
  if (m > 1) {
    cpu::conv_winograd_backward_data(m, s, dy.f32(), winograd_weights(w),
                                     {dx.f32(), dx.size(3), dmore ? dmore->f32() : nullptr});
    return;
  }
  const Tensor weights = standardized(w);
  if (dmore && falls_apart(s, dx.size(3))) {
    const Halves h = halves_of(s, dx.size(3));
    cpu::conv_direct_backward_data(h.first, dy.f32(), weights.f32(), dx.f32());
    cpu::conv_direct_backward_data(h.second, dy.f32(), weights.f32() + h.second_weights,
                                   dmore->f32());
    return;
  }
  Tensor all = dmore ? Tensor({s.batch, s.height, s.width, s.channels}) : dx;
  const auto run = few(algorithm) ? cpu::conv_few_backward_data : cpu::conv_direct_backward_data;
  run(s, dy.f32(), weights.f32(), all.f32());
  if (dmore) split_channels(all, &dx, dmore);
}

void CpuBackend::conv2d_backward_weights(const ConvArgs& args, const ConvInput& x, const Tensor& dy,
                                         Tensor& dw, Tensor* dbias) {
  const cpu::ConvShape s = conv_shape(args, x.x, dw);
  const cpu::ConvAlgorithm algorithm = cpu::conv_algorithm(s, ConvPass::kBackwardWeights, true);
  const int64_t m = cpu::tile_of(algorithm);
  float* bias = dbias ? dbias->f32() : nullptr;
  if (m > 1) {
    cpu::conv_winograd_backward_weights(m, s, split_map(x), dy.f32(), dw.f32(), bias);
    return;
  }
  if (x.more && falls_apart(s, x.x.size(3))) {
    const Halves h = halves_of(s, x.x.size(3));
    cpu::conv_direct_backward_weights(h.first, x.x.f32(), dy.f32(), dw.f32(), bias);
    cpu::conv_direct_backward_weights(h.second, x.more->f32(), dy.f32(),
                                      dw.f32() + h.second_weights, nullptr);
    return;
  }
  const auto run =
      few(algorithm) ? cpu::conv_few_backward_weights : cpu::conv_direct_backward_weights;
  run(s, concatenated(*this, x).f32(), dy.f32(), dw.f32(), bias);
}

int64_t CpuBackend::conv2d_prepared_bytes(const ConvArgs& args, const ConvInput& x,
                                          const ConvWeights& w) const {
  const cpu::ConvShape s = conv_shape(args, x.x, w.w);
  const int64_t m = cpu::tile_of(cpu::conv_algorithm(s, ConvPass::kForward, args.by_batch));
  if (m > 1) return cpu::PreparedWinograd::bytes(m, s);
  return w.mean ? w.w.bytes() : 0;
}

std::string CpuBackend::conv2d_algorithm(ConvPass pass, const ConvArgs& args, const Tensor& x,
                                         const Tensor& w) const {
  return cpu::describe_algorithm(conv_shape(args, x, w), pass, args.by_batch);
}

void CpuBackend::linear(const Tensor& x, const Tensor& w, const Tensor* bias, Tensor& y) {
  cpu::conv_direct(linear_shape(x, w), x.f32(), w.f32(), data_of(bias), y.f32());
}

void CpuBackend::linear_backward_data(const Tensor& dy, const Tensor& w, Tensor& dx) {
  cpu::conv_direct_backward_data(linear_shape(dy, w), dy.f32(), w.f32(), dx.f32());
}

void CpuBackend::linear_backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw,
                                         Tensor* dbias) {
  cpu::conv_direct_backward_weights(linear_shape(x, dw), x.f32(), dy.f32(), dw.f32(),
                                    dbias ? dbias->f32() : nullptr);
}

}  // namespace ddpm
