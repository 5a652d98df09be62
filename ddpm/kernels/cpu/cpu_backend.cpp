// Tensors in, pointers and extents out.
#include "ddpm/kernels/cpu/cpu_backend.h"

#include <algorithm>

#include "ddpm/kernels/cpu/conv_select.h"

namespace ddpm {
namespace {

cpu::ConvShape conv_shape(const ConvArgs& args, const Tensor& x, const Tensor& w) {
  return {.batch = x.size(0),
          .height = x.size(1),
          .width = x.size(2),
          .channels = x.size(3),
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

}  // namespace

void CpuBackend::conv2d(const ConvArgs& args, const Tensor& x, const Tensor& w, const Tensor* bias,
                        Tensor& y) {
  cpu::conv(conv_shape(args, x, w), x.f32(), w.f32(), bias ? bias->f32() : nullptr, y.f32());
}

void CpuBackend::conv2d_backward_data(const ConvArgs& args, const Tensor& dy, const Tensor& w,
                                      Tensor& dx) {
  cpu::conv_backward_data(conv_shape(args, dx, w), dy.f32(), w.f32(), dx.f32());
}

void CpuBackend::conv2d_backward_weights(const ConvArgs& args, const Tensor& x, const Tensor& dy,
                                         Tensor& dw, Tensor* dbias) {
  cpu::conv_backward_weights(conv_shape(args, x, dw), x.f32(), dy.f32(), dw.f32(),
                             dbias ? dbias->f32() : nullptr);
}

std::string CpuBackend::conv2d_algorithm(ConvPass pass, const ConvArgs& args, const Tensor& x,
                                         const Tensor& w) const {
  return cpu::describe_algorithm(conv_shape(args, x, w), pass);
}

void CpuBackend::linear(const Tensor& x, const Tensor& w, const Tensor* bias, Tensor& y) {
  cpu::conv(linear_shape(x, w), x.f32(), w.f32(), bias ? bias->f32() : nullptr, y.f32());
}

void CpuBackend::linear_backward_data(const Tensor& dy, const Tensor& w, Tensor& dx) {
  cpu::conv_backward_data(linear_shape(dy, w), dy.f32(), w.f32(), dx.f32());
}

void CpuBackend::linear_backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw,
                                         Tensor* dbias) {
  cpu::conv_backward_weights(linear_shape(x, dw), x.f32(), dy.f32(), dw.f32(),
                             dbias ? dbias->f32() : nullptr);
}

}  // namespace ddpm
