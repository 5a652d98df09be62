// What training needs around the network: the time embedding, noise, losses and the optimizer step.

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/loss_functions.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {

void RefBackend::run(const op::SinusoidalEmbedding& o) {
  const int64_t dim = o.y.size(1), half = dim / 2;
  const bool in_turn = o.args.order == SinusoidOrder::kInTurn;
  for (int64_t n = 0; n < o.t.size(0); ++n) {
    float* row = o.y.f32() + n * dim;
    for (int64_t k = 0; k < half; ++k) {
      const double exponent =
          static_cast<double>(2 * k) / static_cast<double>(dim - 2 * o.args.shift);
      const double angle = o.t.f32()[n] / std::pow(o.args.theta, exponent);
      row[in_turn ? 2 * k : k] = static_cast<float>(std::sin(angle));
      row[in_turn ? 2 * k + 1 : half + k] = static_cast<float>(std::cos(angle));
    }
  }
}

void RefBackend::run(const op::FourierEmbedding& o) {
  const int64_t frequencies = o.w.elements();
  for (int64_t n = 0; n < o.t.size(0); ++n) {
    float* row = o.y.f32() + n * (2 * frequencies + 1);
    row[0] = o.t.f32()[n];
    for (int64_t k = 0; k < frequencies; ++k) {
      const double angle = 2 * std::numbers::pi * o.t.f32()[n] * o.w.f32()[k];
      row[1 + k] = static_cast<float>(std::sin(angle));
      row[1 + frequencies + k] = static_cast<float>(std::cos(angle));
    }
  }
}

void RefBackend::run(const op::FourierEmbeddingBackward& o) {
  const int64_t frequencies = o.w.elements();
  for (int64_t k = 0; k < frequencies; ++k) {
    double sum = 0;
    for (int64_t n = 0; n < o.t.size(0); ++n) {
      const float* dsine = o.dy.f32() + n * (2 * frequencies + 1) + 1 + k;
      const double turn = 2 * std::numbers::pi * o.t.f32()[n], angle = turn * o.w.f32()[k];
      sum += turn * (std::cos(angle) * dsine[0] - std::sin(angle) * dsine[frequencies]);
    }
    o.dw.f32()[k] = static_cast<float>(sum);
  }
}

void RefBackend::run(const op::Dropout& o) {
  const int64_t images = o.x.size(0), size = o.x.elements() / std::max<int64_t>(images, 1);
  const float factor = static_cast<float>(1 / (1 - o.rate));
  const float* from = o.x.f32();
  float* to = o.y.f32();
  parallel_for(images, ref::grain(64 * size), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const Philox random(o.seeds[n], o.stream);
      for (int64_t i = 0; i < size; ++i) {
        const bool dropped = random.uniform(static_cast<uint64_t>(i)) < o.rate;
        to[n * size + i] = dropped ? 0 : factor * from[n * size + i];
      }
    }
  });
}

// Each row is its seed's stream from position 0 on.
void RefBackend::run(const op::Normal& o) {
  const int64_t images = o.x.size(0), size = o.x.elements() / std::max<int64_t>(images, 1);
  float* to = o.x.f32();
  parallel_for(images, ref::grain(64 * size), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      Philox(o.seeds[n], o.stream).normal(0, size, to + n * size);
    }
  });
}

void RefBackend::run(const op::Loss& o) {
  const int64_t count = o.prediction.elements(), images = o.prediction.size(0);
  const int64_t size = count / std::max<int64_t>(images, 1);
  const float *p = o.prediction.f32(), *t = o.target.f32();
  const float* weights = o.weights ? o.weights->f32() : nullptr;
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    sum += (weights ? weights[i / size] : 1) * ref::loss_at(o.kind, double{p[i]} - t[i]);
  }
  o.mean = sum / static_cast<double>(count);
}

void RefBackend::run(const op::LossBackward& o) {
  const int64_t count = o.prediction.elements(), images = o.prediction.size(0);
  const int64_t size = count / std::max<int64_t>(images, 1);
  const float *p = o.prediction.f32(), *t = o.target.f32();
  const float* weights = o.weights ? o.weights->f32() : nullptr;
  const double factor = o.upstream / static_cast<double>(count);
  float* to = o.dprediction.f32();
  for (int64_t i = 0; i < count; ++i) {
    const double slope = factor * ref::slope_at(o.kind, double{p[i]} - t[i]);
    to[i] = static_cast<float>((weights ? weights[i / size] : 1) * slope);
  }
}

void RefBackend::run(const op::SumOfSquares& o) {
  o.sums.clear();
  for (const Tensor& tensor : o.tensors) {
    double sum = 0;
    const float* values = tensor.f32();
    for (int64_t i = 0; i < tensor.elements(); ++i) sum += double{values[i]} * values[i];
    o.sums.push_back(sum);
  }
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
        const double change = rate * first / (std::sqrt(second) / correction + o.args.eps);
        w[i] = static_cast<float>(parameter.keep * w[i] - change);
        if (ema) {
          ema[i] = static_cast<float>(o.args.ema_decay * ema[i] + (1 - o.args.ema_decay) * w[i]);
        }
      }
    });
  }
}

void RefBackend::run(const op::MoveAverages& o) {
  for (AveragedTensor& tensor : o.tensors) {
    const float* value = tensor.value.f32();
    float* average = tensor.average.f32();
    parallel_for(tensor.value.elements(), ref::grain(8), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        average[i] = static_cast<float>(o.decay * average[i] + (1 - o.decay) * value[i]);
    });
  }
}

}  // namespace ddpm
