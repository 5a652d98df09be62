// Every conversion reverses the three axes of an array [a, b, c]. OIHW is seen as [O, I, H*W],
// which becomes [H*W, I, O]. A linear weight is seen as [out, 1, in], and each image as [C, 1,
// H*W].
#include "ddpm/io/layout.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

const char* name_of(Layout layout) {
  switch (layout) {
    case Layout::kAsIs:
      return "plain";
    case Layout::kImage:
      return "image";
    case Layout::kConvWeight:
      return "convolution weight";
    case Layout::kLinearWeight:
      return "linear weight";
  }
  fail("layout", "unknown layout");
}

void check_rank(const Shape& shape, Layout layout) {
  if (layout == Layout::kAsIs) return;
  const int rank = layout == Layout::kLinearWeight ? 2 : 4;
  if (shape.rank() != rank) {
    fail("layout", fmt::format("the shape {} of rank {} is no {}, which has rank {}", shape.str(),
                               shape.rank(), name_of(layout), rank));
  }
}

// to[c, b, a] = from[a, b, c]. The work is cut into tiles, so that the accesses of both sides stay
// within a few cache lines.
void reverse_axes(const float* from, float* to, int64_t a, int64_t b, int64_t c) {
  // The floats in a cache line.
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
  check_rank(shape, layout);
  switch (layout) {
    case Layout::kAsIs:
      return shape;
    case Layout::kImage:
      return {shape[0], shape[2], shape[3], shape[1]};
    case Layout::kConvWeight:
      return {shape[2], shape[3], shape[1], shape[0]};
    case Layout::kLinearWeight:
      return {shape[1], shape[0]};
  }
  fail("layout", "unknown layout");
}

Shape to_pytorch(const Shape& shape, Layout layout) {
  check_rank(shape, layout);
  switch (layout) {
    case Layout::kAsIs:
      return shape;
    case Layout::kImage:
      return {shape[0], shape[3], shape[1], shape[2]};
    case Layout::kConvWeight:
      return {shape[3], shape[2], shape[0], shape[1]};
    case Layout::kLinearWeight:
      return {shape[1], shape[0]};
  }
  fail("layout", "unknown layout");
}

Tensor from_pytorch(const Tensor& tensor, Layout layout) {
  if (layout == Layout::kAsIs) return tensor;
  const Shape& shape = tensor.shape();
  Tensor result(from_pytorch(shape, layout), DType::kFloat32, tensor.device());
  const float* from = tensor.f32();
  float* to = result.f32();
  if (tensor.elements() == 0) return result;
  if (layout == Layout::kImage) {  // [N, C, H, W] -> [N, H, W, C]
    const int64_t channels = shape[1], pixels = shape[2] * shape[3];
    for (int64_t n = 0; n < shape[0]; ++n) {
      const int64_t image = n * channels * pixels;
      reverse_axes(from + image, to + image, channels, 1, pixels);
    }
  } else if (layout == Layout::kConvWeight) {  // [O, I, kh, kw] -> [kh, kw, I, O]
    reverse_axes(from, to, shape[0], shape[1], shape[2] * shape[3]);
  } else {  // [out, in] -> [in, out]
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
  if (layout == Layout::kImage) {  // [N, H, W, C] -> [N, C, H, W]
    const int64_t pixels = shape[1] * shape[2], channels = shape[3];
    for (int64_t n = 0; n < shape[0]; ++n) {
      const int64_t image = n * channels * pixels;
      reverse_axes(from + image, to + image, pixels, 1, channels);
    }
  } else if (layout == Layout::kConvWeight) {  // [kh, kw, I, O] -> [O, I, kh, kw]
    reverse_axes(from, to, shape[0] * shape[1], shape[2], shape[3]);
  } else {  // [in, out] -> [out, in]
    reverse_axes(from, to, shape[0], 1, shape[1]);
  }
  return result;
}

Layout state_dict_layout(std::string_view name, int rank) {
  const std::string_view leaf = name.substr(name.rfind('.') + 1);
  if (leaf != "weight") return Layout::kAsIs;
  if (rank == 4) return Layout::kConvWeight;
  if (rank == 2) return Layout::kLinearWeight;
  return Layout::kAsIs;
}

}  // namespace ddpm
