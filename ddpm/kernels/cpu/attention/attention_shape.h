// The extents that all kinds of attention share.
#pragma once

#include <cmath>
#include <cstdint>

namespace ddpm::cpu {

// qkv is [images, positions, 3 * heads * width]: q, k, v in turn, each head `width` consecutive
// channels.
struct AttentionShape {
  int64_t hidden() const { return heads * width; }
  int64_t stride() const { return 3 * hidden(); }                     // of a row of qkv
  int64_t elements() const { return images * positions * stride(); }  // of qkv
  float scale() const { return static_cast<float>(1 / std::sqrt(static_cast<double>(width))); }

  int64_t images = 0, positions = 0, heads = 1, width = 0;
};

// Keys and values that every image attends to besides its positions, and their gradient: keys, then
// values, each [heads, count, width] for softmax attention and [heads, width, count] for linear
// attention.
struct AttentionMemory {
  const float* kv = nullptr;
  int64_t count = 0;  // 0: there is none
};

}  // namespace ddpm::cpu
