// Convolution by its formula: each output pixel (or weight row) has a row of double accumulators
// over contiguous channels, so the innermost loop is a plain axpy.

#include <algorithm>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

void axpy(int64_t count, double factor, const float* row, double* sum) {
  for (int64_t i = 0; i < count; ++i) sum[i] += factor * row[i];
}

Tensor concatenated(RefBackend& backend, const ConvInput& input) {
  if (!input.more) return input.x;
  Tensor all({input.x.size(0), input.x.size(1), input.x.size(2), input.channels()});
  backend.run(op::ConcatChannels{.a = input.x, .b = *input.more, .y = all});
  return all;
}

Tensor standardized(const ConvWeights& weights) {
  if (!weights.mean) return weights.w;
  Tensor result(weights.w.shape());
  const int64_t K = result.size(3);
  const float *w = weights.w.f32(), *mean = weights.mean->f32(), *rstd = weights.rstd->f32();
  for (int64_t i = 0; i < result.elements(); ++i) {
    result.f32()[i] = static_cast<float>((double{w[i]} - mean[i % K]) * rstd[i % K]);
  }
  return result;
}

}  // namespace

void RefBackend::run(const op::Conv2d& o) {
  const Tensor x = concatenated(*this, o.x), w = standardized(o.w);
  const int64_t H = x.size(1), W = x.size(2), C = x.size(3);
  const int64_t P = o.y.size(1), Q = o.y.size(2), K = o.y.size(3), kh = w.size(0), kw = w.size(1);
  const float *from = x.f32(), *weight = w.f32(), *b = o.bias ? o.bias->f32() : nullptr;
  float* to = o.y.f32();
  parallel_for(o.y.size(0) * P, ref::grain(Q * K * kh * kw * C), [&](int64_t begin, int64_t end) {
    std::vector<double> sum(K);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / P, p = row % P;
      for (int64_t q = 0; q < Q; ++q) {
        for (int64_t k = 0; k < K; ++k) sum[k] = b ? b[k] : 0;
        for (int64_t i = 0; i < kh; ++i) {
          const int64_t h = p * o.args.stride + i - o.args.padding;
          if (h < 0 || h >= H) continue;
          for (int64_t j = 0; j < kw; ++j) {
            const int64_t v = q * o.args.stride + j - o.args.padding;
            if (v < 0 || v >= W) continue;
            const float* pixel = from + ((n * H + h) * W + v) * C;
            const float* tap = weight + (i * kw + j) * C * K;
            for (int64_t c = 0; c < C; ++c) axpy(K, pixel[c], tap + c * K, sum.data());
          }
        }
        std::copy(sum.begin(), sum.end(), to + (row * Q + q) * K);
      }
    }
  });
}

void RefBackend::run(const op::Conv2dBackwardData& o) {
  if (o.dmore) {
    Tensor all({o.dx.size(0), o.dx.size(1), o.dx.size(2), o.dx.size(3) + o.dmore->size(3)});
    run(op::Conv2dBackwardData{.args = o.args, .dy = o.dy, .w = o.w, .dx = all});
    run(op::SplitChannels{.y = all, .a = &o.dx, .b = o.dmore});
    return;
  }
  const Tensor w = standardized(o.w);
  const int64_t H = o.dx.size(1), W = o.dx.size(2), C = o.dx.size(3);
  const int64_t P = o.dy.size(1), Q = o.dy.size(2), K = o.dy.size(3), kh = w.size(0),
                kw = w.size(1);
  // [kh, kw, K, C], so that the innermost loop is contiguous.
  std::vector<float> transposed(w.elements());
  const float* weight = w.f32();
  for (int64_t tap = 0; tap < kh * kw; ++tap) {
    for (int64_t c = 0; c < C; ++c) {
      for (int64_t k = 0; k < K; ++k) {
        transposed[(tap * K + k) * C + c] = weight[(tap * C + c) * K + k];
      }
    }
  }
  const float* from = o.dy.f32();
  float* to = o.dx.f32();
  parallel_for(o.dx.size(0) * H, ref::grain(W * C * kh * kw * K), [&](int64_t begin, int64_t end) {
    std::vector<double> sum(C);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / H, h = row % H;
      for (int64_t v = 0; v < W; ++v) {
        std::fill(sum.begin(), sum.end(), 0.0);
        for (int64_t i = 0; i < kh; ++i) {
          const int64_t up = h + o.args.padding - i, p = up / o.args.stride;
          if (up < 0 || up % o.args.stride != 0 || p >= P) continue;
          for (int64_t j = 0; j < kw; ++j) {
            const int64_t left = v + o.args.padding - j, q = left / o.args.stride;
            if (left < 0 || left % o.args.stride != 0 || q >= Q) continue;
            const float* pixel = from + ((n * P + p) * Q + q) * K;
            const float* tap = transposed.data() + (i * kw + j) * K * C;
            for (int64_t k = 0; k < K; ++k) axpy(C, pixel[k], tap + k * C, sum.data());
          }
        }
        std::copy(sum.begin(), sum.end(), to + (row * W + v) * C);
      }
    }
  });
}

void RefBackend::run(const op::Conv2dBackwardWeights& o) {
  const Tensor x = concatenated(*this, o.x);
  const int64_t N = x.size(0), H = x.size(1), W = x.size(2), C = x.size(3);
  const int64_t P = o.dy.size(1), Q = o.dy.size(2), K = o.dy.size(3), kh = o.dw.size(0),
                kw = o.dw.size(1);
  const float *from = x.f32(), *grad = o.dy.f32();
  float* to = o.dw.f32();
  parallel_for(kh * kw * C, ref::grain(N * P * Q * K), [&](int64_t begin, int64_t end) {
    std::vector<double> sum(K);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t i = row / C / kw, j = row / C % kw, c = row % C;
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int64_t n = 0; n < N; ++n) {
        for (int64_t p = 0; p < P; ++p) {
          const int64_t h = p * o.args.stride + i - o.args.padding;
          if (h < 0 || h >= H) continue;
          for (int64_t q = 0; q < Q; ++q) {
            const int64_t v = q * o.args.stride + j - o.args.padding;
            if (v < 0 || v >= W) continue;
            axpy(K, from[((n * H + h) * W + v) * C + c], grad + ((n * P + p) * Q + q) * K,
                 sum.data());
          }
        }
      }
      std::copy(sum.begin(), sum.end(), to + row * K);
    }
  });
  if (o.dbias) {
    std::vector<double> sum(K);
    for (int64_t pixel = 0; pixel < N * P * Q; ++pixel) {
      axpy(K, 1, grad + pixel * K, sum.data());
    }
    std::copy(sum.begin(), sum.end(), o.dbias->f32());
  }
}

}  // namespace ddpm
