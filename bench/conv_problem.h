// One convolution with its data, which every benchmark of convolutions takes.
#pragma once

#include <cmath>
#include <cstdint>

#include "ddpm/base/philox.h"
#include "ddpm/kernels/cpu/conv/conv.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm::bench {

struct ConvProblem {
  explicit ConvProblem(const cpu::ConvShape& s)
      : shape(s),
        x({s.batch, s.height, s.width, s.channels}),
        w({s.kernel_height, s.kernel_width, s.channels, s.outputs}),
        bias({s.outputs}),
        y({s.batch, s.out_height(), s.out_width(), s.outputs}),
        dy(y.shape()),
        dx(x.shape()),
        dw(w.shape()),
        dbias(bias.shape()) {
    uint64_t seed = 0;
    for (Tensor* tensor : {&x, &w, &bias, &dy}) {
      Philox(seed++).normal(0, tensor->elements(), tensor->f32());
    }
  }
  cpu::ConvShape shape;
  Tensor x, w, bias, y, dy, dx, dw, dbias;
};

inline double relative_error(const Tensor& a, const Tensor& b) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < b.elements(); ++i) {
    const double d = double{a.f32()[i]} - b.f32()[i];
    difference += d * d;
    norm += double{b.f32()[i]} * b.f32()[i];
  }
  return std::sqrt(difference / norm);
}

}  // namespace ddpm::bench
