// The optimizer step, and the norm that gradient clipping needs.

#include <cmath>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {

double RefBackend::sum_of_squares(const std::vector<Tensor>& tensors) {
  double sum = 0;
  for (const Tensor& tensor : tensors) {
    const float* values = tensor.f32();
    for (int64_t i = 0; i < tensor.elements(); ++i) sum += double{values[i]} * values[i];
  }
  return sum;
}

void RefBackend::adam(const AdamArgs& args, std::vector<AdamParameter>& parameters) {
  const double step = static_cast<double>(args.step);
  const double rate = args.learning_rate / (1 - std::pow(args.beta1, step));
  const double correction = std::sqrt(1 - std::pow(args.beta2, step));
  for (AdamParameter& parameter : parameters) {
    float *w = parameter.weight.f32(), *m = parameter.moment1.f32(), *v = parameter.moment2.f32();
    const float* grad = parameter.grad.f32();
    float* ema = parameter.ema.defined() ? parameter.ema.f32() : nullptr;
    parallel_for(parameter.weight.elements(), ref::grain(32), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const double g = grad[i] * args.grad_scale;
        const double first = args.beta1 * m[i] + (1 - args.beta1) * g;
        const double second = args.beta2 * v[i] + (1 - args.beta2) * g * g;
        m[i] = static_cast<float>(first);
        v[i] = static_cast<float>(second);
        w[i] =
            static_cast<float>(w[i] - rate * first / (std::sqrt(second) / correction + args.eps));
        if (ema) {
          ema[i] = static_cast<float>(args.ema_decay * ema[i] + (1 - args.ema_decay) * w[i]);
        }
      }
    });
  }
}

}  // namespace ddpm
