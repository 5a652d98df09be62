// RMS normalisation over the channels of each position, with FiLM, SiLU and a residual in one
// operation.
// kernels/operations.h tells the conventions.
#pragma once

#include <string>

#include "ddpm/kernels/arguments.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm::op {

inline std::string rms_norm_label(const RmsNormArgs& args, const Tensor* film) {
  return std::string("rms_norm") + (film ? " film" : "") + (args.silu ? " silu" : "");
}

// y = act(v * (scale + 1) + shift) + residual with v = x * g * sqrt(C) / max(|x|, 1e-12), |x| being
// the norm of a position's C channels (Zhang & Sennrich 2019, arXiv:1910.07467). film holds scale
// in its first C columns and shift in its last C (Perez et al. 2018, arXiv:1709.07871).
struct RmsNorm {
  static constexpr const char* kName = "rms_norm";
  RmsNormArgs args = {};
  const Tensor& x;                   // [N, H, W, C]
  const Tensor& g;                   // C elements
  const Tensor* film = nullptr;      // [N, 2C]
  const Tensor* residual = nullptr;  // [N, H, W, C]
  Tensor& y;                         // [N, H, W, C]

  std::string label() const { return rms_norm_label(args, film) + (residual ? " add" : ""); }
};

// The gradient of the residual is dy itself. dx may be dy.
struct RmsNormBackward {
  static constexpr const char* kName = "rms_norm backward";
  RmsNormArgs args = {};
  const Tensor& dy;
  const Tensor& x;
  const Tensor& g;
  const Tensor* film = nullptr;
  Tensor& dx;
  Tensor& dg;
  Tensor* dfilm = nullptr;  // null exactly where film is

  std::string label() const { return rms_norm_label(args, film) + " backward"; }
};

}  // namespace ddpm::op

#define DDPM_RMS_NORM_OPERATIONS(F) \
  F(RmsNorm)                        \
  F(RmsNormBackward)
