// Every conversion reverses the three axes of an array [a, b, c]. OIHW is treated as [O, I, H*W],
// which becomes [H*W, I, O]. A linear weight is treated as [out, 1, in], and each image as
// [C, 1, H*W].
#include "ddpm/io/layout.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

// How the axes of a layout are ordered. Axis i in memory is axis in_file[i] of PyTorch's order, and
// axis i of PyTorch's order is axis in_memory[i].
struct Axes {
  const char* name;
  int rank;
  std::array<int, 4> in_file, in_memory;
};

const Axes& axes_of(Layout layout) {
  static constexpr Axes kImage{"image", 4, {0, 2, 3, 1}, {0, 3, 1, 2}};
  static constexpr Axes kConvWeight{"convolution weight", 4, {2, 3, 1, 0}, {3, 2, 0, 1}};
  static constexpr Axes kLinearWeight{"linear weight", 2, {1, 0}, {1, 0}};
  if (layout == Layout::kImage) return kImage;
  if (layout == Layout::kConvWeight) return kConvWeight;
  if (layout == Layout::kLinearWeight) return kLinearWeight;
  fail("layout", "unknown layout");
}

Shape reordered(const Shape& shape, Layout layout, std::array<int, 4> Axes::*order) {
  if (layout == Layout::kAsIs) return shape;
  const Axes& axes = axes_of(layout);
  if (shape.rank() != axes.rank) {
    fail("layout", fmt::format("the shape {} has rank {}, but the layout '{}' needs rank {}",
                               shape.str(), shape.rank(), axes.name, axes.rank));
  }
  std::array<int64_t, 4> extents{};
  for (int i = 0; i < axes.rank; ++i) extents[i] = shape[(axes.*order)[i]];
  return {extents.data(), axes.rank};
}

// to[c, b, a] = from[a, b, c]. The loops run over tiles, so that both the reads and the writes stay
// within a few cache lines.
void reverse_axes(const float* from, float* to, int64_t a, int64_t b, int64_t c) {
  // The number of floats in a cache line.
  constexpr int64_t kTile = 16;
  for (int64_t a0 = 0; a0 < a; a0 += kTile) {
    const int64_t a1 = std::min(a, a0 + kTile);
    for (int64_t j = 0; j < b; ++j) {
      for (int64_t c0 = 0; c0 < c; c0 += kTile) {
        const int64_t c1 = std::min(c, c0 + kTile);
        for (int64_t k = c0; k < c1; ++k) {
          for (int64_t i = a0; i < a1; ++i) to[(k * b + j) * a + i] = from[(i * b + j) * c + k];
        }
      }
    }
  }
}

}  // namespace

Shape from_pytorch(const Shape& shape, Layout layout) {
  return reordered(shape, layout, &Axes::in_file);
}

Shape to_pytorch(const Shape& shape, Layout layout) {
  return reordered(shape, layout, &Axes::in_memory);
}

Tensor from_pytorch(const Tensor& tensor, Layout layout) {
  if (layout == Layout::kAsIs) return tensor;
  const Shape& shape = tensor.shape();
  Tensor result(from_pytorch(shape, layout), DType::kFloat32, tensor.device());
  const float* from = tensor.f32();
  float* to = result.f32();
  if (tensor.elements() == 0) return result;
  if (layout == Layout::kImage) {
    // [N, C, H, W] -> [N, H, W, C]
    const int64_t channels = shape[1], pixels = shape[2] * shape[3];
    for (int64_t n = 0; n < shape[0]; ++n) {
      const int64_t image = n * channels * pixels;
      reverse_axes(from + image, to + image, channels, 1, pixels);
    }
  } else if (layout == Layout::kConvWeight) {
    // [O, I, kh, kw] -> [kh, kw, I, O]
    reverse_axes(from, to, shape[0], shape[1], shape[2] * shape[3]);
  } else {
    // [out, in] -> [in, out]
    reverse_axes(from, to, shape[0], 1, shape[1]);
  }
  return result;
}

Tensor to_pytorch(const Tensor& tensor, Layout layout) {
  if (layout == Layout::kAsIs) return tensor;
  const Shape& shape = tensor.shape();
  Tensor result(to_pytorch(shape, layout), DType::kFloat32, tensor.device());
  const float* from = tensor.f32();
  float* to = result.f32();
  if (tensor.elements() == 0) return result;
  if (layout == Layout::kImage) {
    // [N, H, W, C] -> [N, C, H, W]
    const int64_t pixels = shape[1] * shape[2], channels = shape[3];
    for (int64_t n = 0; n < shape[0]; ++n) {
      const int64_t image = n * channels * pixels;
      reverse_axes(from + image, to + image, pixels, 1, channels);
    }
  } else if (layout == Layout::kConvWeight) {
    // [kh, kw, I, O] -> [O, I, kh, kw]
    reverse_axes(from, to, shape[0] * shape[1], shape[2], shape[3]);
  } else {
    // [in, out] -> [out, in]
    reverse_axes(from, to, shape[0], 1, shape[1]);
  }
  return result;
}

Layout state_dict_layout(std::string_view name, int rank) {
  const std::string_view leaf = name.substr(name.rfind('.') + 1);
  if (leaf != "weight") return Layout::kAsIs;
  if (rank == 4) return Layout::kConvWeight;
  if (rank == 2 && !name.ends_with("embedding.weight")) return Layout::kLinearWeight;
  return Layout::kAsIs;
}

}  // namespace ddpm
