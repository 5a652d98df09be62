// The only place that knows PyTorch's order of axes. In memory, images are [N, H, W, C],
// convolution weights [kh, kw, C_in, C_out] and linear weights [in, out]. In PyTorch, and therefore
// in files, they are [N, C, H, W], [C_out, C_in, kh, kw] and [out, in].
#pragma once

#include <string_view>

#include "ddpm/tensor/shape.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// What a tensor is. This decides the order of its axes in memory and in files.
enum class Layout { kAsIs, kImage, kConvWeight, kLinearWeight };

// The shape in the other order. Throws Error if the rank does not fit the layout (4 for images and
// convolution weights, 2 for linear weights).
Shape from_pytorch(const Shape& shape, Layout layout);
Shape to_pytorch(const Shape& shape, Layout layout);

// The float32 tensor in the other order of axes. The result is a copy, except that kAsIs shares
// storage. Each function exactly reverses the other. Throws Error as the functions for shapes do.
Tensor from_pytorch(const Tensor& tensor, Layout layout);
Tensor to_pytorch(const Tensor& tensor, Layout layout);

// The layout of an entry of a state dict. A "weight" of rank 4 belongs to a convolution, one of
// rank 2 to a linear layer. All other tensors, such as biases, norms and the rows of an embedding
// (the "weight" of rank 2 of a layer called "...embedding"), are the same in both orders.
Layout state_dict_layout(std::string_view name, int rank);

}  // namespace ddpm
