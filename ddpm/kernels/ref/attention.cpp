// Softmax attention by its formula, one head of one image after the other; the backward pass
// rebuilds the softmax from logsumexp.

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

double dot(int64_t count, const float* a, const float* b) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += double{a[i]} * b[i];
  return sum;
}

}  // namespace

void RefBackend::run(const op::Attention& o) {
  const int64_t N = o.qkv.size(0), heads = o.args.heads, hidden = o.qkv.size(-1) / 3,
                d = hidden / heads;
  const int64_t positions = o.out.elements() / std::max<int64_t>(N * hidden, 1);
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  const float* from = o.qkv.f32();
  float *to = o.out.f32(), *lse = o.logsumexp.f32();
  parallel_for(
      N * heads * positions, ref::grain(positions * (2 * d + 32)), [&](int64_t begin, int64_t end) {
        std::vector<double> weight(positions), sum(d);
        for (int64_t item = begin; item < end; ++item) {
          const int64_t n = item / positions / heads, head = item / positions % heads;
          const int64_t i = item % positions;
          const float* q = from + n * positions * 3 * hidden + head * d;
          const float *k = q + hidden, *v = q + 2 * hidden;
          for (int64_t j = 0; j < positions; ++j) {
            weight[j] = scale * dot(d, q + i * 3 * hidden, k + j * 3 * hidden);
          }
          const double highest = *std::max_element(weight.begin(), weight.end());
          double total = 0;
          for (double& value : weight) total += value = std::exp(value - highest);
          std::fill(sum.begin(), sum.end(), 0.0);
          for (int64_t j = 0; j < positions; ++j) {
            for (int64_t e = 0; e < d; ++e) sum[e] += weight[j] * v[j * 3 * hidden + e];
          }
          for (int64_t e = 0; e < d; ++e) {
            to[(n * positions + i) * hidden + head * d + e] = static_cast<float>(sum[e] / total);
          }
          lse[item] = static_cast<float>(highest + std::log(total));
        }
      });
}

// With p = exp(s - logsumexp): dv_j = sum_i p_ij dout_i; ds_ij = p_ij (dout_i . v_j - dout_i .
// out_i); dq_i = scale sum_j ds_ij k_j; dk_j = scale sum_i ds_ij q_i.
void RefBackend::run(const op::AttentionBackward& o) {
  const int64_t N = o.qkv.size(0), heads = o.args.heads, hidden = o.qkv.size(-1) / 3,
                d = hidden / heads;
  const int64_t positions = o.out.elements() / std::max<int64_t>(N * hidden, 1);
  const int64_t stride = 3 * hidden;
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  const float *grad = o.dout.f32(), *from = o.qkv.f32(), *result = o.out.f32(),
              *lse = o.logsumexp.f32();
  float* to = o.dqkv.f32();
  parallel_for(
      N * heads, ref::grain(positions * positions * (5 * d + 32)), [&](int64_t begin, int64_t end) {
        std::vector<double> dq(positions * d), dk(positions * d), dv(positions * d);
        for (int64_t item = begin; item < end; ++item) {
          const int64_t n = item / heads, head = item % heads;
          const float* q = from + n * positions * stride + head * d;
          const float *k = q + hidden, *v = q + 2 * hidden;
          const float* g = grad + n * positions * hidden + head * d;
          const float* o = result + n * positions * hidden + head * d;
          std::fill(dq.begin(), dq.end(), 0.0);
          std::fill(dk.begin(), dk.end(), 0.0);
          std::fill(dv.begin(), dv.end(), 0.0);
          for (int64_t i = 0; i < positions; ++i) {
            const double inner = dot(d, g + i * hidden, o + i * hidden);
            for (int64_t j = 0; j < positions; ++j) {
              const double s = scale * dot(d, q + i * stride, k + j * stride);
              const double p = std::exp(s - lse[item * positions + i]);
              const double ds = scale * p * (dot(d, g + i * hidden, v + j * stride) - inner);
              for (int64_t e = 0; e < d; ++e) {
                dq[i * d + e] += ds * k[j * stride + e];
                dk[j * d + e] += ds * q[i * stride + e];
                dv[j * d + e] += p * g[i * hidden + e];
              }
            }
          }
          for (int64_t i = 0; i < positions; ++i) {
            float* row = to + (n * positions + i) * stride + head * d;
            std::copy_n(&dq[i * d], d, row);
            std::copy_n(&dk[i * d], d, row + hidden);
            std::copy_n(&dv[i * d], d, row + 2 * hidden);
          }
        }
      });
}

}  // namespace ddpm
