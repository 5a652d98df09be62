// The fast backend for processors: overrides what is hot with SIMD kernels (see simd.h for the
// instruction sets) and inherits the rest. Results do not depend on the number of threads, and the
// bits of one image's outputs not on the others of its batch.
#pragma once

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {

class CpuBackend : public RefBackend {
 public:
  const char* name() const override { return "cpu"; }

  void conv2d(const ConvArgs& args, const ConvInput& x, const ConvWeights& w, const Tensor* bias,
              Tensor& y) override;
  void conv2d_backward_data(const ConvArgs& args, const Tensor& dy, const ConvWeights& w,
                            Tensor& dx, Tensor* dmore) override;
  void conv2d_backward_weights(const ConvArgs& args, const ConvInput& x, const Tensor& dy,
                               Tensor& dw, Tensor* dbias) override;
  std::string conv2d_algorithm(ConvPass pass, const ConvArgs& args, const Tensor& x,
                               const Tensor& w) const override;
  int64_t conv2d_prepared_bytes(const ConvArgs& args, const ConvInput& x,
                                const ConvWeights& w) const override;

  void weight_moments(double eps, const Tensor& w, Tensor& mean, Tensor& rstd) override;
  void weight_standardize_backward(const Tensor& dstandardized, const Tensor& w, const Tensor& mean,
                                   const Tensor& rstd, Tensor& dw) override;

  void group_norm(const NormArgs& args, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  const Tensor* film, const Tensor* residual, Tensor& y, Tensor& mean,
                  Tensor& rstd) override;
  void group_norm_again(const NormArgs& args, const Tensor& x, const Tensor& gamma,
                        const Tensor& beta, const Tensor* film, const Tensor& mean,
                        const Tensor& rstd, Tensor& y) override;
  void group_norm_backward(const NormArgs& args, const Tensor& dy, const Tensor& x,
                           const Tensor& gamma, const Tensor& beta, const Tensor* film,
                           const Tensor& mean, const Tensor& rstd, Tensor& dx, Tensor& dgamma,
                           Tensor& dbeta, Tensor* dfilm) override;

  void linear(const Tensor& x, const Tensor& w, const Tensor* bias, Tensor& y) override;
  void linear_backward_data(const Tensor& dy, const Tensor& w, Tensor& dx) override;
  void linear_backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw,
                               Tensor* dbias) override;

  void activation(Activation kind, const Tensor& x, Tensor& y) override;
  void activation_backward(Activation kind, const Tensor& dy, const Tensor& x, Tensor& dx) override;
  void add(const Tensor& a, const Tensor& b, Tensor& y) override;
  void combine(const std::vector<const Tensor*>& inputs,
               const std::vector<std::vector<float>>& coefficients, Tensor& y) override;
  void clamp(float low, float high, Tensor& x) override;

  void attention(const AttentionArgs& args, const Tensor& qkv, Tensor& out,
                 Tensor& logsumexp) override;
  void attention_backward(const AttentionArgs& args, const Tensor& dout, const Tensor& qkv,
                          const Tensor& out, const Tensor& logsumexp, Tensor& dqkv) override;
  void linear_attention(const AttentionArgs& args, const Tensor& qkv, Tensor& out, Tensor& context,
                        Tensor& k_max, Tensor& k_sum) override;
  void linear_attention_backward(const AttentionArgs& args, const Tensor& dout, const Tensor& qkv,
                                 const Tensor& context, const Tensor& k_max, const Tensor& k_sum,
                                 Tensor& dqkv) override;
  void projected_linear_attention(const AttentionArgs& args, const Tensor& x,
                                  const AttentionProjections& w, Tensor& y,
                                  LinearAttentionSums& sums) override;
  void projected_linear_attention_backward(const AttentionArgs& args, const Tensor& dy,
                                           const Tensor& x, const AttentionProjections& w,
                                           const LinearAttentionSums& sums, Tensor& dx,
                                           Tensor& dw_qkv, Tensor& dw_out, Tensor& dbias) override;

  void space_to_depth(int64_t size, const Tensor& x, Tensor& y) override;
  void depth_to_space(int64_t size, const Tensor& x, Tensor& y) override;
  void upsample_nearest(const Tensor& x, Tensor& y) override;
  void upsample_nearest_backward(const Tensor& dy, Tensor& dx) override;
  void concat_channels(const Tensor& a, const Tensor& b, Tensor& y) override;
  void split_channels(const Tensor& y, Tensor* a, Tensor* b) override;

  double loss(LossKind kind, const Tensor& prediction, const Tensor& target) override;
  void loss_backward(LossKind kind, const Tensor& prediction, const Tensor& target, float upstream,
                     Tensor& dprediction) override;
  void normal(const std::vector<uint64_t>& seeds, uint64_t stream, Tensor& x) override;
  double sum_of_squares(const std::vector<Tensor>& tensors) override;
  void adam(const AdamArgs& args, std::vector<AdamParameter>& parameters) override;
};

}  // namespace ddpm
