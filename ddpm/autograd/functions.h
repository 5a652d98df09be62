// The differentiable operations. Each of them checks its shapes and throws Error naming them, runs
// an operation of kernels/operations.h on the device of its first argument, and records the
// backward pass. kernels/operations.h gives the formulas. An optional Variable is a pointer that
// may be null.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ddpm/autograd/variable.h"
#include "ddpm/kernels/arguments.h"

namespace ddpm {

// The optional parts of a convolution.
struct ConvExtras {
  // [N, H, W, C2]: further channels, which follow those of x.
  const Variable* more = nullptr;
  // The eps of weight standardization of w. Without it, w is used as it is.
  std::optional<double> standardize_eps;
};
// x [N, H, W, C1], w [kh, kw, C1 + C2, K], bias [K] -> [N, P, Q, K] with P = (H + 2 padding - kh) /
// stride + 1. Inside an Inference scope, the forms of w that a backend computes are kept there.
Variable conv2d(const Variable& x, const Variable& w, const Variable* bias, const ConvArgs& args,
                const ConvExtras& extras = {});
// x [N, H, W, C], gamma and beta [C], film [N, 2C] -> [N, H, W, C]. If residual [N, H, W, C] is
// given, it is added. Without it, the tape does not keep the result, but computes it again when an
// operation needs it in its backward pass.
Variable group_norm(const Variable& x, const Variable& gamma, const Variable& beta,
                    const Variable* film, const NormArgs& args, const Variable* residual = nullptr);
// x [rows, in], w [in, out], bias [out] -> [rows, out].
Variable linear(const Variable& x, const Variable& w, const Variable* bias);
// rows [N]: the number of a row of w, or -1 for the last. w [rows, columns] -> [N, columns]. Throws
// Error naming a number that is not a row.
Variable lookup(const Tensor& rows, const Variable& w);
Variable activation(Activation kind, const Variable& x);
Variable add(const Variable& a, const Variable& b);
// x [N, H, W, C], g of C elements, film [N, 2C] -> [N, H, W, C], plus residual [N, H, W, C] if
// given. The tape does not keep the result, as in group_norm().
Variable rms_norm(const Variable& x, const Variable& g, const Variable* film,
                  const RmsNormArgs& args, const Variable* residual = nullptr);
// x [N, ...] -> the same shape. seeds[n] gives the random numbers of image n. The tape does not
// keep the result, as in group_norm().
Variable dropout(const Variable& x, double rate, const std::vector<uint64_t>& seeds,
                 uint64_t stream);
// qkv [N, H, W, 3 heads d], memory [2, heads, M, d] -> [N, H, W, heads d].
Variable attention(const Variable& qkv, const AttentionArgs& args,
                   const Variable* memory = nullptr);
// memory [2, heads, d, M].
Variable linear_attention(const Variable& qkv, const AttentionArgs& args,
                          const Variable* memory = nullptr);
// The same between 1x1 convolutions: conv2d(linear_attention(conv2d(x, w_qkv)), w_out, bias).
// x [N, H, W, C], w_qkv [1, 1, C, 3 heads d], w_out [1, 1, heads d, K], bias [K] -> [N, H, W, K].
// If the backend finds it faster, this is a single operation, which stores neither q, k, v nor the
// result of the attention.
Variable linear_attention(const Variable& x, const Variable& w_qkv, const Variable& w_out,
                          const Variable& bias, const AttentionArgs& args,
                          const Variable* memory = nullptr);
// [N, H, W, C] -> [N, H/size, W/size, C size^2].
Variable space_to_depth(const Variable& x, int64_t size);
// [N, H, W, C] -> [N, 2H, 2W, C].
Variable upsample_nearest(const Variable& x);
// [N, H, W, A], [N, H, W, B] -> [N, H, W, A + B].
Variable concat_channels(const Variable& a, const Variable& b);

// t [N] -> [N, dim] for an even dim. The result has no gradient.
Tensor sinusoidal_embedding(const Tensor& t, int64_t dim, const SinusoidArgs& args = {});
// t [N], w [K] -> [N, 2K + 1].
Variable fourier_embedding(const Tensor& t, const Variable& w);

// What the loss of a network that predicts its variance adds: the variational bound.
struct Bound {
  // [N, H, W, C]: the images.
  Tensor x0;
  // One per image.
  std::vector<BoundLevel> levels;
  double weight = 0;
  // [N, H, W, C]: what the output would have to be to tell the images exactly. Empty if that is the
  // target of the loss.
  Tensor target = {};
};

// The mean loss of a batch. backward() starts the backward pass, which leaves gradients in the
// leaves.
struct Loss {
  double value = 0;
  Variable prediction;
  Tensor target;
  // Empty if all weights are 1.
  Tensor weights;
  LossKind kind = LossKind::kMse;
  std::optional<Bound> bound;
  // The gradients are multiplied by `share`: that of these images in a batch of several parts.
  void backward(Tape& tape, double share = 1) const;
};
// The mean over all elements of weights[n] * loss(prediction - target). prediction and target are
// [N, ...], weights [N] or empty. Throws Error if the shapes do not fit.
Loss mean_loss(LossKind kind, const Variable& prediction, const Tensor& target,
               const Tensor& weights = {});
// The same for the first half of the channels of `output` [N, H, W, 2 C], plus the weighted mean of
// the bound, whose variance comes from the second half. The bound gives the first half no gradient.
// target [N, H, W, C], weights [N] or empty; they do not weigh the bound. Throws Error for an odd
// number of channels, if the shapes do not fit, and unless the bound has one level per image.
Loss hybrid_loss(LossKind kind, const Variable& output, const Tensor& target, const Tensor& weights,
                 Bound bound);

}  // namespace ddpm
