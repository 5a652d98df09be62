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

// The keys or the values of one head: rows of `d` floats, those of the memory first.
struct KeyRows {
  const float* row(int64_t j) const {
    return j < remembered ? memory + j * d : positions + (j - remembered) * stride;
  }
  const float *memory, *positions;
  int64_t remembered, d, stride;
};

// Of values rather than keys: which 1. positions: the first row of the image's keys or values.
KeyRows rows_of(const Tensor* memory, int64_t which, int64_t heads, int64_t head, int64_t d,
                const float* positions) {
  const int64_t count = memory ? memory->size(2) : 0;
  const float* from = memory ? memory->f32() + (which * heads + head) * count * d : nullptr;
  return {from, positions, count, d, 3 * heads * d};
}

}  // namespace

void RefBackend::run(const op::Attention& o) {
  const int64_t N = o.qkv.size(0), heads = o.args.heads, hidden = o.qkv.size(-1) / 3,
                d = hidden / heads;
  const int64_t positions = o.out.elements() / std::max<int64_t>(N * hidden, 1);
  const int64_t keys = positions + (o.memory ? o.memory->size(2) : 0);
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  const float* from = o.qkv.f32();
  float *to = o.out.f32(), *lse = o.logsumexp.f32();
  parallel_for(
      N * heads * positions, ref::grain(keys * (2 * d + 32)), [&](int64_t begin, int64_t end) {
        std::vector<double> weight(keys), sum(d);
        for (int64_t item = begin; item < end; ++item) {
          const int64_t n = item / positions / heads, head = item / positions % heads;
          const int64_t i = item % positions;
          const float* q = from + n * positions * 3 * hidden + head * d;
          const KeyRows k = rows_of(o.memory, 0, heads, head, d, q + hidden);
          const KeyRows v = rows_of(o.memory, 1, heads, head, d, q + 2 * hidden);
          for (int64_t j = 0; j < keys; ++j) {
            weight[j] = scale * dot(d, q + i * 3 * hidden, k.row(j));
          }
          const double highest = *std::max_element(weight.begin(), weight.end());
          double total = 0;
          for (double& value : weight) total += value = std::exp(value - highest);
          std::fill(sum.begin(), sum.end(), 0.0);
          for (int64_t j = 0; j < keys; ++j) {
            for (int64_t e = 0; e < d; ++e) sum[e] += weight[j] * v.row(j)[e];
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
  const int64_t stride = 3 * hidden, remembered = o.memory ? o.memory->size(2) : 0;
  const int64_t keys = remembered + positions;
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  const float *grad = o.dout.f32(), *from = o.qkv.f32(), *result = o.out.f32(),
              *lse = o.logsumexp.f32();
  float* to = o.dqkv.f32();
  // [N, 2, heads, M, d]: what each image adds to the gradient of the memory.
  std::vector<double> parts(N * 2 * heads * remembered * d);
  parallel_for(N * heads, ref::grain(positions * keys * (5 * d + 32)),
               [&](int64_t begin, int64_t end) {
                 std::vector<double> dq(positions * d), dk(keys * d), dv(keys * d);
                 for (int64_t item = begin; item < end; ++item) {
                   const int64_t n = item / heads, head = item % heads;
                   const float* q = from + n * positions * stride + head * d;
                   const KeyRows k = rows_of(o.memory, 0, heads, head, d, q + hidden);
                   const KeyRows v = rows_of(o.memory, 1, heads, head, d, q + 2 * hidden);
                   const float* g = grad + n * positions * hidden + head * d;
                   const float* out = result + n * positions * hidden + head * d;
                   std::fill(dq.begin(), dq.end(), 0.0);
                   std::fill(dk.begin(), dk.end(), 0.0);
                   std::fill(dv.begin(), dv.end(), 0.0);
                   for (int64_t i = 0; i < positions; ++i) {
                     const double inner = dot(d, g + i * hidden, out + i * hidden);
                     for (int64_t j = 0; j < keys; ++j) {
                       const double s = scale * dot(d, q + i * stride, k.row(j));
                       const double p = std::exp(s - lse[item * positions + i]);
                       const double ds = scale * p * (dot(d, g + i * hidden, v.row(j)) - inner);
                       for (int64_t e = 0; e < d; ++e) {
                         dq[i * d + e] += ds * k.row(j)[e];
                         dk[j * d + e] += ds * q[i * stride + e];
                         dv[j * d + e] += p * g[i * hidden + e];
                       }
                     }
                   }
                   for (int64_t i = 0; i < positions; ++i) {
                     float* row = to + (n * positions + i) * stride + head * d;
                     std::copy_n(&dq[i * d], d, row);
                     std::copy_n(&dk[(remembered + i) * d], d, row + hidden);
                     std::copy_n(&dv[(remembered + i) * d], d, row + 2 * hidden);
                   }
                   std::copy_n(dk.begin(), remembered * d,
                               parts.begin() + (2 * n * heads + head) * remembered * d);
                   std::copy_n(dv.begin(), remembered * d,
                               parts.begin() + (2 * n * heads + heads + head) * remembered * d);
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
