// Operations that only move data.
// kernels/operations.h tells the conventions.
#pragma once

#include <cstdint>
#include <string>

#include "ddpm/kernels/operations/describe.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm::op {

// y[n, p, q, c * s * s + i * s + j] = x[n, p * s + i, q * s + j, c], s being the size.
struct SpaceToDepth {
  static constexpr const char* kName = "space_to_depth";
  int64_t size;
  const Tensor& x;  // [N, H, W, C]
  Tensor& y;        // [N, H / s, W / s, C * s * s]
};

// The inverse of SpaceToDepth, and its gradient.
struct DepthToSpace {
  static constexpr const char* kName = "depth_to_space";
  int64_t size;
  const Tensor& x;  // [N, H / s, W / s, C * s * s]
  Tensor& y;        // [N, H, W, C]
};

// Nearest neighbour, factor 2.
struct UpsampleNearest {
  static constexpr const char* kName = "upsample_nearest";
  const Tensor& x;  // [N, H, W, C]
  Tensor& y;        // [N, 2H, 2W, C]
};

struct UpsampleNearestBackward {
  static constexpr const char* kName = "upsample_nearest backward";
  const Tensor& dy;
  Tensor& dx;

  std::string shape() const { return extents(dx); }
};

// y holds the channels of a, then those of b.
struct ConcatChannels {
  static constexpr const char* kName = "concat_channels";
  const Tensor& a;  // [N, H, W, A]
  const Tensor& b;  // [N, H, W, B]
  Tensor& y;        // [N, H, W, A + B]

  std::string shape() const { return extents(y); }
};

// The inverse of ConcatChannels, and its gradient. At least one output is wanted.
struct SplitChannels {
  static constexpr const char* kName = "split_channels";
  const Tensor& y;      // [N, H, W, A + B]
  Tensor* a = nullptr;  // [N, H, W, A]
  Tensor* b = nullptr;  // [N, H, W, B]

  std::string shape() const { return extents(y); }
};

}  // namespace ddpm::op

#define DDPM_RESHAPE_OPERATIONS(F) \
  F(SpaceToDepth)                  \
  F(DepthToSpace)                  \
  F(UpsampleNearest)               \
  F(UpsampleNearestBackward)       \
  F(ConcatChannels)                \
  F(SplitChannels)
