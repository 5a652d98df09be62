// Group normalisation with FiLM, SiLU and a residual in one operation.
// kernels/operations.h tells the conventions.
#pragma once

#include <cstdint>
#include <string>

#include "ddpm/kernels/arguments.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm::op {

inline std::string norm_label(const NormArgs& args, const Tensor* film) {
  return std::string("group_norm") + (film ? " film" : "") + (args.silu ? " silu" : "");
}

// Normalises each of `groups` groups of channels of each image to zero mean and unit (biased)
// variance over its positions (Wu & He 2018, arXiv:1803.08494), then y = act(v * (scale + 1) +
// shift) + residual with v = normalised * gamma + beta. film holds scale in its first C columns and
// shift in its last C (FiLM, Perez et al. 2018, arXiv:1709.07871). mean and rstd are the statistics
// of each group.
struct GroupNorm {
  static constexpr const char* kName = "group_norm";
  NormArgs args = {};
  const Tensor& x;                   // [N, H, W, C]
  const Tensor& gamma;               // [C]
  const Tensor& beta;                // [C]
  const Tensor* film = nullptr;      // [N, 2C]
  const Tensor* residual = nullptr;  // [N, H, W, C]
  Tensor& y;                         // [N, H, W, C]
  Tensor& mean;                      // [N, groups]
  Tensor& rstd;                      // [N, groups]

  std::string label() const { return norm_label(args, film) + (residual ? " add" : ""); }
};

// y of GroupNorm, without residual, from the statistics.
struct GroupNormAgain {
  static constexpr const char* kName = "group_norm again";
  NormArgs args = {};
  const Tensor& x;
  const Tensor& gamma;
  const Tensor& beta;
  const Tensor* film = nullptr;
  const Tensor& mean;
  const Tensor& rstd;
  Tensor& y;

  std::string label() const { return norm_label(args, film) + " again"; }
};

// The gradient of the residual is dy itself.
struct GroupNormBackward {
  static constexpr const char* kName = "group_norm backward";
  NormArgs args = {};
  const Tensor& dy;
  const Tensor& x;
  const Tensor& gamma;
  const Tensor& beta;
  const Tensor* film = nullptr;
  const Tensor& mean;
  const Tensor& rstd;
  Tensor& dx;
  Tensor& dgamma;
  Tensor& dbeta;
  Tensor* dfilm = nullptr;  // null exactly where film is

  std::string label() const { return norm_label(args, film) + " backward"; }
};

}  // namespace ddpm::op

#define DDPM_GROUP_NORM_OPERATIONS(F) \
  F(GroupNorm)                        \
  F(GroupNormAgain)                   \
  F(GroupNormBackward)
