// What attention does between its matrix products: steps along rows and down columns. Each function
// uses one thread and allocates nothing.
#pragma once

#include <cstdint>

#include "ddpm/kernels/cpu/work/rows.h"

namespace ddpm::cpu {

// ---- softmax over the `width` channels of each of `heads` heads of each row

// y = factor softmax(x).
void softmax_heads(int64_t rows, int64_t heads, int64_t width, float factor, ConstRows x, Rows y);
// dx = y (dy - sum(y dy) / factor), y as softmax_heads gave it.
void softmax_heads_gradient(int64_t rows, int64_t heads, int64_t width, float factor, ConstRows y,
                            ConstRows dy, Rows dx);

// ---- down columns

// sums[c] = sum over rows of x[., c].
void column_sums(int64_t rows, int64_t columns, ConstRows x, float* sums);

void column_maxima(int64_t rows, int64_t columns, ConstRows x, float* maxima);
// y = exp(x - maxima), sums its columns' sums.
void column_exponentials(int64_t rows, int64_t columns, ConstRows x, const float* maxima, Rows y,
                         float* sums);
// Merges blocks of rows, each of which subtracted its own maxima. A part is `stride` floats after
// the one before. It holds the maxima and sums [columns] of column_exponentials, and y^T z
// [columns, width] of some z. Gives the maxima and sums of all rows, and softmax(x)^T z.
void merge_column_softmax(int64_t parts, int64_t stride, const float* part, int64_t columns,
                          int64_t width, float* maxima, float* sums, float* product);
// y = exp(x - maxima) factors.
void column_softmax(int64_t rows, int64_t columns, ConstRows x, const float* maxima,
                    const float* factors, Rows y);
// dx = y (dy - mix).
void column_softmax_gradient(int64_t rows, int64_t columns, ConstRows y, ConstRows dy,
                             const float* mix, Rows dx);

// ---- attention over blocks of keys (Dao et al. 2022, arXiv:2205.14135)

// One more block of scores: raises each row's `highest`, turns scores into exp(score - highest),
// and rescales `total` and the row of out [rows][width] to the new maximum before adding the
// block's sum to total. Before the first block highest is -infinity and total 0; out is not read
// then.
void attention_block(int64_t rows, int64_t columns, Rows scores, float* highest, float* total,
                     int64_t width, Rows out);
// out /= total, logsumexp = highest + log(total).
void attention_finish(int64_t rows, const float* highest, const float* total, int64_t width,
                      Rows out, float* logsumexp);
// inner[row] = sum over the row of a b.
void row_products(int64_t rows, int64_t width, ConstRows a, ConstRows b, float* inner);
// scores become p = exp(scores - logsumexp), dp becomes factor p (dp - inner).
void attention_block_gradient(int64_t rows, int64_t columns, float factor, const float* logsumexp,
                              const float* inner, Rows scores, Rows dp);

}  // namespace ddpm::cpu
