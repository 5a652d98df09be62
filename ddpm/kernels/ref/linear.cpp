// Matrix products by their formula, in double, and rows that are looked up.

#include <algorithm>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

// The row of a matrix that rows[n] names.
int64_t row_at(const Tensor& rows, int64_t n, const Tensor& matrix) {
  const auto row = static_cast<int64_t>(rows.f32()[n]);
  return row < 0 ? matrix.size(0) + row : row;
}

}  // namespace

void RefBackend::run(const op::Linear& o) {
  const int64_t in = o.w.size(0), out = o.w.size(1);
  const float *from = o.x.f32(), *weight = o.w.f32(), *b = o.bias ? o.bias->f32() : nullptr;
  float* to = o.y.f32();
  parallel_for(o.y.elements() / std::max<int64_t>(out, 1), ref::grain(in * out),
               [&](int64_t begin, int64_t end) {
                 std::vector<double> sum(out);
                 for (int64_t row = begin; row < end; ++row) {
                   for (int64_t o = 0; o < out; ++o) sum[o] = b ? b[o] : 0;
                   for (int64_t i = 0; i < in; ++i) {
                     const double value = from[row * in + i];
                     for (int64_t o = 0; o < out; ++o) sum[o] += value * weight[i * out + o];
                   }
                   std::copy(sum.begin(), sum.end(), to + row * out);
                 }
               });
}

void RefBackend::run(const op::LinearBackwardData& o) {
  const int64_t in = o.w.size(0), out = o.w.size(1);
  const float *grad = o.dy.f32(), *weight = o.w.f32();
  float* to = o.dx.f32();
  parallel_for(o.dx.elements() / std::max<int64_t>(in, 1), ref::grain(in * out),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   for (int64_t i = 0; i < in; ++i) {
                     double sum = 0;
                     for (int64_t o = 0; o < out; ++o)
                       sum += double{grad[row * out + o]} * weight[i * out + o];
                     to[row * in + i] = static_cast<float>(sum);
                   }
                 }
               });
}

void RefBackend::run(const op::LinearBackwardWeights& o) {
  const int64_t in = o.dw.size(0), out = o.dw.size(1);
  const int64_t rows = o.x.elements() / std::max<int64_t>(in, 1);
  const float *from = o.x.f32(), *grad = o.dy.f32();
  float* to = o.dw.f32();
  parallel_for(in, ref::grain(rows * out), [&](int64_t begin, int64_t end) {
    std::vector<double> sum(out);
    for (int64_t i = begin; i < end; ++i) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int64_t row = 0; row < rows; ++row) {
        const double value = from[row * in + i];
        for (int64_t o = 0; o < out; ++o) sum[o] += value * grad[row * out + o];
      }
      std::copy(sum.begin(), sum.end(), to + i * out);
    }
  });
  if (o.dbias) {
    std::vector<double> sum(out);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t o = 0; o < out; ++o) sum[o] += grad[row * out + o];
    }
    std::copy(sum.begin(), sum.end(), o.dbias->f32());
  }
}

void RefBackend::run(const op::Lookup& o) {
  const int64_t columns = o.w.size(1);
  for (int64_t n = 0; n < o.rows.size(0); ++n) {
    std::copy_n(o.w.f32() + row_at(o.rows, n, o.w) * columns, columns, o.y.f32() + n * columns);
  }
}

void RefBackend::run(const op::LookupBackward& o) {
  const int64_t count = o.rows.size(0), columns = o.dw.size(1);
  std::fill_n(o.dw.f32(), o.dw.elements(), 0.0f);
  std::vector<std::vector<int64_t>> uses(o.dw.size(0));  // of each row
  for (int64_t n = 0; n < count; ++n) uses[row_at(o.rows, n, o.dw)].push_back(n);
  for (int64_t row = 0; row < o.dw.size(0); ++row) {
    for (int64_t c = 0; c < columns && !uses[row].empty(); ++c) {
      double sum = 0;
      for (const int64_t n : uses[row]) sum += o.dy.f32()[n * columns + c];
      o.dw.f32()[row * columns + c] = static_cast<float>(sum);
    }
  }
}

}  // namespace ddpm
