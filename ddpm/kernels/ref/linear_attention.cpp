// Linear attention by its formula, one head of one image after the other. a = softmax of q over its
// d channels times 1/sqrt(d), b = softmax of k over positions; both are rebuilt in the backward
// pass.

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

// out = softmax(q) / sqrt(d), of one position.
void soften(int64_t d, const float* q, double* out) {
  const double highest = *std::max_element(q, q + d);
  double total = 0;
  for (int64_t c = 0; c < d; ++c) total += out[c] = std::exp(q[c] - highest);
  for (int64_t c = 0; c < d; ++c) out[c] /= total * std::sqrt(static_cast<double>(d));
}

// The keys or the values of one head, those of the memory first: channel c of key p.
struct HeadKeys {
  double operator()(int64_t p, int64_t c) const {
    return p < remembered ? memory[c * remembered + p] : positions[(p - remembered) * stride + c];
  }
  const float *memory, *positions;
  int64_t remembered, stride;
};

// Of values rather than keys: which 1. positions: the first row of the image's keys or values.
HeadKeys keys_of(const Tensor* memory, int64_t which, int64_t heads, int64_t head, int64_t d,
                 const float* positions) {
  const int64_t count = memory ? memory->size(3) : 0;
  const float* from = memory ? memory->f32() + (which * heads + head) * d * count : nullptr;
  return {from, positions, count, 3 * heads * d};
}

}  // namespace

void RefBackend::run(const op::LinearAttention& o) {
  const int64_t N = o.qkv.size(0), heads = o.args.heads, hidden = o.qkv.size(-1) / 3,
                d = hidden / heads;
  const int64_t positions = o.out.elements() / std::max<int64_t>(N * hidden, 1);
  const int64_t stride = 3 * hidden, keys = positions + (o.memory ? o.memory->size(3) : 0);
  const float* from = o.qkv.f32();
  float *to = o.out.f32(), *contexts = o.context.f32(), *maxima = o.k_max.f32(),
        *sums = o.k_sum.f32();
  parallel_for(
      N * heads, ref::grain(positions * d * (2 * d + 32)), [&](int64_t begin, int64_t end) {
        std::vector<double> highest(d), total(d), ctx(d * d), a(d), sum(d);
        for (int64_t item = begin; item < end; ++item) {
          const int64_t n = item / heads, head = item % heads;
          const float* q = from + n * positions * stride + head * d;
          const HeadKeys k = keys_of(o.memory, 0, heads, head, d, q + hidden);
          const HeadKeys v = keys_of(o.memory, 1, heads, head, d, q + 2 * hidden);
          for (int64_t c = 0; c < d; ++c) highest[c] = k(0, c);
          for (int64_t p = 0; p < keys; ++p) {
            for (int64_t c = 0; c < d; ++c) highest[c] = std::max(highest[c], k(p, c));
          }
          std::fill(total.begin(), total.end(), 0.0);
          std::fill(ctx.begin(), ctx.end(), 0.0);
          for (int64_t p = 0; p < keys; ++p) {
            for (int64_t c = 0; c < d; ++c) {
              const double b = std::exp(k(p, c) - highest[c]);
              total[c] += b;
              for (int64_t e = 0; e < d; ++e) ctx[c * d + e] += b * v(p, e);
            }
          }
          for (int64_t i = 0; i < d * d; ++i) ctx[i] /= total[i / d];
          for (int64_t p = 0; p < positions; ++p) {
            soften(d, q + p * stride, a.data());
            std::fill(sum.begin(), sum.end(), 0.0);
            for (int64_t c = 0; c < d; ++c) {
              for (int64_t e = 0; e < d; ++e) sum[e] += a[c] * ctx[c * d + e];
            }
            std::copy(sum.begin(), sum.end(), to + (n * positions + p) * hidden + head * d);
          }
          std::copy(ctx.begin(), ctx.end(), contexts + item * d * d);
          std::copy(highest.begin(), highest.end(), maxima + item * d);
          std::copy(total.begin(), total.end(), sums + item * d);
        }
      });
}

// da = context dout, dcontext = sum_n a dout, db = dcontext v, dv = b dcontext; then through the
// two softmaxes: dq = a (da - sum_d a' da) with a' the softmax itself, dk = b (db - sum_n b db).
void RefBackend::run(const op::LinearAttentionBackward& o) {
  const int64_t N = o.qkv.size(0), heads = o.args.heads, hidden = o.qkv.size(-1) / 3,
                d = hidden / heads;
  const int64_t positions = o.dout.elements() / std::max<int64_t>(N * hidden, 1);
  const int64_t stride = 3 * hidden, remembered = o.memory ? o.memory->size(3) : 0;
  const int64_t keys = remembered + positions;
  const double root = std::sqrt(static_cast<double>(d));
  const float *grad = o.dout.f32(), *from = o.qkv.f32(), *contexts = o.context.f32();
  const float *maxima = o.k_max.f32(), *sums = o.k_sum.f32();
  float* to = o.dqkv.f32();
  // [N, 2, heads, d, M]: what each image adds to the gradient of the memory.
  std::vector<double> parts(N * 2 * heads * d * remembered);
  parallel_for(
      N * heads, ref::grain(positions * d * (2 * d + 32)), [&](int64_t begin, int64_t end) {
        std::vector<double> dctx(d * d), a(d), da(d), b(keys * d), db(keys * d), mix(d), dv(d);
        for (int64_t item = begin; item < end; ++item) {
          const int64_t n = item / heads, head = item % heads;
          const float* q = from + n * positions * stride + head * d;
          const HeadKeys k = keys_of(o.memory, 0, heads, head, d, q + hidden);
          const HeadKeys v = keys_of(o.memory, 1, heads, head, d, q + 2 * hidden);
          double* dmemory = parts.data() + (2 * n * heads + head) * d * remembered;
          const float* g = grad + n * positions * hidden + head * d;
          const float* ctx = contexts + item * d * d;
          float* dq = to + n * positions * stride + head * d;
          std::fill(dctx.begin(), dctx.end(), 0.0);
          for (int64_t p = 0; p < positions; ++p) {
            soften(d, q + p * stride, a.data());
            double inner = 0;
            for (int64_t c = 0; c < d; ++c) {
              da[c] = 0;
              for (int64_t e = 0; e < d; ++e) {
                da[c] += double{ctx[c * d + e]} * g[p * hidden + e];
                dctx[c * d + e] += a[c] * g[p * hidden + e];
              }
              inner += a[c] * root * da[c];
            }
            for (int64_t c = 0; c < d; ++c) {
              dq[p * stride + c] = static_cast<float>(a[c] * (da[c] - inner));
            }
          }
          std::fill(mix.begin(), mix.end(), 0.0);
          for (int64_t p = 0; p < keys; ++p) {
            std::fill(dv.begin(), dv.end(), 0.0);
            for (int64_t c = 0; c < d; ++c) {
              double sum = 0;
              const double softened = std::exp(k(p, c) - maxima[item * d + c]) / sums[item * d + c];
              for (int64_t e = 0; e < d; ++e) {
                sum += dctx[c * d + e] * v(p, e);
                dv[e] += softened * dctx[c * d + e];
              }
              b[p * d + c] = softened;
              db[p * d + c] = sum;
              mix[c] += softened * sum;
            }
            // In place of v, which is not read again.
            for (int64_t e = 0; e < d; ++e) {
              if (p < remembered)
                dmemory[(heads * d + e) * remembered + p] = dv[e];
              else
                dq[(p - remembered) * stride + 2 * hidden + e] = static_cast<float>(dv[e]);
            }
          }
          for (int64_t p = 0; p < keys; ++p) {
            for (int64_t c = 0; c < d; ++c) {
              const double dk = b[p * d + c] * (db[p * d + c] - mix[c]);
              if (p < remembered)
                dmemory[c * remembered + p] = dk;
              else
                dq[(p - remembered) * stride + hidden + c] = static_cast<float>(dk);
            }
          }
        }
      });
  if (!o.dmemory) return;
  for (int64_t i = 0; i < o.dmemory->elements(); ++i) {
    double sum = 0;
    for (int64_t n = 0; n < N; ++n) sum += parts[n * o.dmemory->elements() + i];
    o.dmemory->f32()[i] = static_cast<float>(sum);
  }
}

}  // namespace ddpm
