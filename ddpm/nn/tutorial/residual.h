// Wrappers around an attention F, called "func" in parameter paths.
#pragma once

#include <utility>

#include "ddpm/nn/unet/resnet_block.h"

namespace ddpm::tutorial {

// x + func(x). func adds x itself, as part of its last operation.
template <class F>
class Residual : public UnetAttention {
 public:
  template <class... Args>
  explicit Residual(Args&&... args) : func_(std::forward<Args>(args)...) {
    add("func", func_);
  }
  Variable operator()(const Variable& x) const override { return func_(x, &x); }

 private:
  F func_;
};

// func(GroupNorm(x)). The norm is called "group_norm" and has one group by default.
template <class F>
class PreGroupNorm : public Module {
 public:
  template <class... Args>
  PreGroupNorm(const GroupNorm::Options& norm, Device device, Args&&... args)
      : func_(std::forward<Args>(args)...), group_norm_(norm, device) {
    add("func", func_);
    add("group_norm", group_norm_);
  }
  Variable operator()(const Variable& x, const Variable* residual = nullptr) const {
    return func_(group_norm_(x), residual);
  }

 private:
  F func_;
  GroupNorm group_norm_;
};

}  // namespace ddpm::tutorial
