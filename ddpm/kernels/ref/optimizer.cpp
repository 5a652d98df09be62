// The optimizer step, and the norm that gradient clipping needs.

#include <cmath>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {

void RefBackend::run(const op::SumOfSquares& o) {
  double sum = 0;
  for (const Tensor& tensor : o.tensors) {
    const float* values = tensor.f32();
    for (int64_t i = 0; i < tensor.elements(); ++i) sum += double{values[i]} * values[i];
  }
  o.sum = sum;
}

void RefBackend::run(const op::Adam& o) {
  const double step = static_cast<double>(o.args.step);
  const double rate = o.args.learning_rate / (1 - std::pow(o.args.beta1, step));
  const double correction = std::sqrt(1 - std::pow(o.args.beta2, step));
  for (AdamParameter& parameter : o.parameters) {
    float *w = parameter.weight.f32(), *m = parameter.moment1.f32(), *v = parameter.moment2.f32();
    const float* grad = parameter.grad.f32();
    float* ema = parameter.ema.defined() ? parameter.ema.f32() : nullptr;
    parallel_for(parameter.weight.elements(), ref::grain(32), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const double g = grad[i] * o.args.grad_scale;
        const double first = o.args.beta1 * m[i] + (1 - o.args.beta1) * g;
        const double second = o.args.beta2 * v[i] + (1 - o.args.beta2) * g * g;
        m[i] = static_cast<float>(first);
        v[i] = static_cast<float>(second);
        w[i] =
            static_cast<float>(w[i] - rate * first / (std::sqrt(second) / correction + o.args.eps));
        if (ema) {
          ema[i] = static_cast<float>(o.args.ema_decay * ema[i] + (1 - o.args.ema_decay) * w[i]);
        }
      }
    });
  }
}

}  // namespace ddpm
