// The fast backend for processors: overrides what is hot with SIMD kernels (see simd.h for the
// instruction sets) and inherits the rest. Results do not depend on the number of threads, and the
// bits of one image's outputs not on the others of its batch.
#pragma once

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {

class CpuBackend : public RefBackend {
 public:
  const char* name() const override { return "cpu"; }

  void conv2d(const ConvArgs& args, const Tensor& x, const Tensor& w, const Tensor* bias,
              Tensor& y) override;
  void conv2d_backward_data(const ConvArgs& args, const Tensor& dy, const Tensor& w,
                            Tensor& dx) override;
  void conv2d_backward_weights(const ConvArgs& args, const Tensor& x, const Tensor& dy, Tensor& dw,
                               Tensor* dbias) override;

  void linear(const Tensor& x, const Tensor& w, const Tensor* bias, Tensor& y) override;
  void linear_backward_data(const Tensor& dy, const Tensor& w, Tensor& dx) override;
  void linear_backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw,
                               Tensor* dbias) override;
};

}  // namespace ddpm
