// Moving data. Rows are those of all images of a batch, one after the other. Use the threads of the
// pool.
#pragma once

#include <cstdint>

namespace ddpm::cpu {

// Pixels [2 rows, 2 columns, channels] and cells [rows, columns, 4 channels], a cell's channel
// 4 c + 2 i + j being channel c of its pixel (i, j).
void fold_cells(int64_t rows, int64_t columns, int64_t channels, const float* pixels, float* cells);
void unfold_cells(int64_t rows, int64_t columns, int64_t channels, const float* cells,
                  float* pixels);

// Nearest neighbour: y [2 rows, 2 columns, channels] from x [rows, columns, channels].
void upsample(int64_t rows, int64_t columns, int64_t channels, const float* x, float* y);
void upsample_backward(int64_t rows, int64_t columns, int64_t channels, const float* dy, float* dx);

// y [rows, first + second] from a [rows, first] and b [rows, second], and back. Null is what is not
// wanted.
void join_columns(int64_t rows, int64_t first, int64_t second, const float* a, const float* b,
                  float* y);
void split_columns(int64_t rows, int64_t first, int64_t second, const float* y, float* a, float* b);

}  // namespace ddpm::cpu
