// The one narrow interface between models and hardware. `ref` implements every operation in plain
// loops and defines what it means; `cpu` derives from it and overrides what is hot; a GPU backend
// must implement all of it.
//
// Conventions. Images and activations are [N, H, W, C], convolution weights [kh, kw, C, K], linear
// weights [in, out], float32, dense. The caller allocates every output; sizes are checked by the
// caller (autograd/), not here. Outputs never alias inputs unless said so. A pointer that may be
// null means "absent" for an input and "not wanted" for an output. Gradients are written, not
// accumulated. Results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// y[n, p, q, k] = bias[k] + sum_{i, j, c} x[n, p*stride + i - padding, q*stride + j - padding, c]
// w[i, j, c, k], zero outside.
struct ConvArgs {
  int64_t stride = 1;
  int64_t padding = 0;
  // The backend may choose its algorithm by the number of images, so that the bits of one depend on
  // how many others there are: right for training, wrong for sampling.
  bool by_batch = false;
};

// Channels of x, then those of `more` where given: a concatenation that need not be made. It and
// ConvWeights refer to tensors that must outlive them.
struct ConvInput {
  ConvInput(const Tensor& first, const Tensor* second = nullptr) : x(first), more(second) {}
  int64_t channels() const { return x.size(3) + (more ? more->size(3) : 0); }

  const Tensor& x;     // [N, H, W, C1]
  const Tensor* more;  // [N, H, W, C2] or null
};

// Weights as they are, or, where mean and rstd are given, standardized: (w - mean[k]) rstd[k].
struct ConvWeights {
  ConvWeights(const Tensor& weights, const Tensor* filter_mean = nullptr,
              const Tensor* filter_rstd = nullptr)
      : w(weights), mean(filter_mean), rstd(filter_rstd) {}

  const Tensor& w;     // [kh, kw, C1 + C2, K]
  const Tensor* mean;  // [K] or null
  const Tensor* rstd;
  // Where not null, the backend may leave here what it made of these weights, and finds it again in
  // the next call, which must bring the same weights.
  std::shared_ptr<void>* prepared = nullptr;
};

// Normalises each of `groups` groups of channels of each image to zero mean and unit (biased)
// variance over its positions (Wu & He 2018, arXiv:1803.08494), then y = act(v * (scale + 1) +
// shift), v = normalised * gamma + beta. film [N, 2C] holds scale in its first C columns and shift
// in its last C (FiLM, Perez et al. 2018, arXiv:1709.07871).
struct NormArgs {
  int64_t groups = 1;
  double eps = 1e-5;
  bool silu = false;
};

struct AttentionArgs {
  int64_t heads =
      4;  // qkv [N, H, W, 3 * heads * d] holds q, k, v in turn, each head d consecutive channels
};

// The 1x1 convolutions before and after linear attention. Refers to tensors that must outlive it.
struct AttentionProjections {
  const Tensor& qkv;   // [1, 1, C, 3 * heads * d]
  const Tensor& out;   // [1, 1, heads * d, K]
  const Tensor& bias;  // [K], of out
};

// What the gradient of projected linear attention needs besides its inputs. k_max and k_sum [N,
// heads * d]: maximum of k over positions and sum of exp(k - maximum).
struct LinearAttentionSums {
  Tensor k_max, k_sum;
  Tensor gathered;  // [N, heads * d, C]: sum over positions n of softmax(k)[., n] x[n]
};

enum class Activation { kSilu, kGelu };  // x * sigmoid(x); x * Phi(x) with the exact erf

// Mean over all elements of: (a-b)^2; |a-b|; the Huber function with delta = 1.
enum class LossKind { kMse, kL1, kHuber };

// Adam (Kingma & Ba 2014, arXiv:1412.6980) as PyTorch computes it, for step t = 1, 2, ...
struct AdamArgs {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  int64_t step = 1;
  double grad_scale = 1;  // factor on every gradient, from clipping
  double ema_decay =
      0;  // ema = decay * ema + (1 - decay) * weights, after the update; ignored where ema is null
};

// One parameter with all that an optimizer step touches; all tensors of one shape, ema may be
// empty.
struct AdamParameter {
  Tensor weight;   // updated
  Tensor grad;     // read
  Tensor moment1;  // updated
  Tensor moment2;  // updated
  Tensor ema;      // updated
};

enum class ConvPass { kForward, kBackwardData, kBackwardWeights };

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* name() const = 0;

  // ---- convolution: x [N, H, W, C1 + C2], w [kh, kw, C1 + C2, K], bias [K] or null, y [N, P, Q,
  // K]
  virtual void conv2d(const ConvArgs& args, const ConvInput& x, const ConvWeights& w,
                      const Tensor* bias, Tensor& y) = 0;
  // dmore is null exactly where the input had no `more`.
  virtual void conv2d_backward_data(const ConvArgs& args, const Tensor& dy, const ConvWeights& w,
                                    Tensor& dx, Tensor* dmore) = 0;
  // dw is the gradient of the weights as used, standardized or not.
  virtual void conv2d_backward_weights(const ConvArgs& args, const ConvInput& x, const Tensor& dy,
                                       Tensor& dw, Tensor* dbias) = 0;
  // Which of its algorithms the backend takes for a pass, and where it declines a faster one, why:
  // words for people. Empty where there is one only. x [N, H, W, ...].
  virtual std::string conv2d_algorithm(ConvPass, const ConvArgs&, const Tensor& /*x*/,
                                       const Tensor& /*w*/) const {
    return "";
  }

  // Bytes that conv2d would leave in w.prepared.
  virtual int64_t conv2d_prepared_bytes(const ConvArgs&, const ConvInput&,
                                        const ConvWeights&) const {
    return 0;
  }

  // ---- weight standardization (Qiao et al. 2019, arXiv:1903.10520), per output channel k over
  // [kh, kw, C]: mean and rstd [K] of w, rstd = 1 / sqrt(var + eps), 0 where var + eps is zero.
  // Convolutions apply them.
  virtual void weight_moments(double eps, const Tensor& w, Tensor& mean, Tensor& rstd) = 0;
  // dw may be dstandardized.
  virtual void weight_standardize_backward(const Tensor& dstandardized, const Tensor& w,
                                           const Tensor& mean, const Tensor& rstd, Tensor& dw) = 0;

  // ---- group normalisation with optional FiLM and SiLU in one operation
  // x, y [N, H, W, C]; gamma, beta [C]; film [N, 2C] or null; residual [N, H, W, C], added to y, or
  // null; mean, rstd [N, groups].
  virtual void group_norm(const NormArgs& args, const Tensor& x, const Tensor& gamma,
                          const Tensor& beta, const Tensor* film, const Tensor* residual, Tensor& y,
                          Tensor& mean, Tensor& rstd) = 0;
  // y once more, without residual, from the statistics.
  virtual void group_norm_again(const NormArgs& args, const Tensor& x, const Tensor& gamma,
                                const Tensor& beta, const Tensor* film, const Tensor& mean,
                                const Tensor& rstd, Tensor& y) = 0;
  // dfilm is null exactly where film is.
  virtual void group_norm_backward(const NormArgs& args, const Tensor& dy, const Tensor& x,
                                   const Tensor& gamma, const Tensor& beta, const Tensor* film,
                                   const Tensor& mean, const Tensor& rstd, Tensor& dx,
                                   Tensor& dgamma, Tensor& dbeta, Tensor* dfilm) = 0;

  // ---- linear: x [rows, in], w [in, out], bias [out] or null, y [rows, out]
  virtual void linear(const Tensor& x, const Tensor& w, const Tensor* bias, Tensor& y) = 0;
  virtual void linear_backward_data(const Tensor& dy, const Tensor& w, Tensor& dx) = 0;
  virtual void linear_backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw,
                                       Tensor* dbias) = 0;

  // ---- element-wise
  virtual void activation(Activation kind, const Tensor& x, Tensor& y) = 0;
  virtual void activation_backward(Activation kind, const Tensor& dy, const Tensor& x,
                                   Tensor& dx) = 0;
  virtual void add(const Tensor& a, const Tensor& b, Tensor& y) = 0;  // y may be a or b
  // y[n, ...] = sum_i coefficients[i][n] * inputs[i][n, ...]; one coefficient per image, 1 to 3
  // inputs. y may be one of the inputs.
  virtual void combine(const std::vector<const Tensor*>& inputs,
                       const std::vector<std::vector<float>>& coefficients, Tensor& y) = 0;
  virtual void clamp(float low, float high, Tensor& x) = 0;  // in place; NaN stays NaN

  // ---- attention: qkv [N, H, W, 3 * heads * d], out [N, H, W, heads * d]
  // out = softmax(q^T k / sqrt(d)) v over positions (Vaswani et al. 2017, arXiv:1706.03762);
  // logsumexp [N, heads, H * W] is what the backward pass needs to rebuild the softmax: log sum_j
  // exp(q_i . k_j / sqrt(d)).
  virtual void attention(const AttentionArgs& args, const Tensor& qkv, Tensor& out,
                         Tensor& logsumexp) = 0;
  virtual void attention_backward(const AttentionArgs& args, const Tensor& dout, const Tensor& qkv,
                                  const Tensor& out, const Tensor& logsumexp, Tensor& dqkv) = 0;
  // Linear attention (Shen et al. 2018, arXiv:1812.01243): q softmax over its d channels, times
  // 1/sqrt(d); k softmax over positions; context[d, e] = sum_n k[d, n] v[e, n]; out[e, n] = sum_d
  // context[d, e] q[d, n]. context [N, heads, d, d], k_max and k_sum [N, heads * d]: maximum of k
  // over positions and sum of exp(k - maximum).
  virtual void linear_attention(const AttentionArgs& args, const Tensor& qkv, Tensor& out,
                                Tensor& context, Tensor& k_max, Tensor& k_sum) = 0;
  // dqkv may be qkv.
  virtual void linear_attention_backward(const AttentionArgs& args, const Tensor& dout,
                                         const Tensor& qkv, const Tensor& context,
                                         const Tensor& k_max, const Tensor& k_sum,
                                         Tensor& dqkv) = 0;
  // The same between its projections: qkv = x w_qkv, y = out w_out + bias, x [N, H, W, C], y [N, H,
  // W, K]. The products may be taken in any order: (softmax(k)^T x) w_v instead of softmax(k)^T (x
  // w_v). Each gradient has the shape of what it is the gradient of.
  virtual void projected_linear_attention(const AttentionArgs& args, const Tensor& x,
                                          const AttentionProjections& w, Tensor& y,
                                          LinearAttentionSums& sums) = 0;
  virtual void projected_linear_attention_backward(const AttentionArgs& args, const Tensor& dy,
                                                   const Tensor& x, const AttentionProjections& w,
                                                   const LinearAttentionSums& sums, Tensor& dx,
                                                   Tensor& dw_qkv, Tensor& dw_out,
                                                   Tensor& dbias) = 0;

  // ---- moving data
  // y [N, H/s, W/s, C s s]: y[n, p, q, c s s + i s + j] = x[n, p s + i, q s + j, c]; depth_to_space
  // is its inverse and gradient.
  virtual void space_to_depth(int64_t size, const Tensor& x, Tensor& y) = 0;
  virtual void depth_to_space(int64_t size, const Tensor& x, Tensor& y) = 0;
  // Nearest neighbour, factor 2: y [N, 2H, 2W, C].
  virtual void upsample_nearest(const Tensor& x, Tensor& y) = 0;
  virtual void upsample_nearest_backward(const Tensor& dy, Tensor& dx) = 0;
  // y [N, H, W, A + B] from a [N, H, W, A] and b [N, H, W, B]; split_channels is its inverse and
  // gradient.
  virtual void concat_channels(const Tensor& a, const Tensor& b, Tensor& y) = 0;
  virtual void split_channels(const Tensor& y, Tensor* a, Tensor* b) = 0;

  // ---- time steps, losses, noise, optimizer
  // Sinusoidal embedding (as Vaswani et al. 2017, 3.5): y[n, 2k] = sin(t[n] / 10000^(2k/dim)), y[n,
  // 2k+1] = cos(same); t [N], y [N, dim], dim even.
  virtual void sinusoidal_embedding(const Tensor& t, Tensor& y) = 0;
  // The mean loss, summed in double in an order that no thread count changes.
  virtual double loss(LossKind kind, const Tensor& prediction, const Tensor& target) = 0;
  // dprediction = upstream * d(mean loss)/d(prediction).
  virtual void loss_backward(LossKind kind, const Tensor& prediction, const Tensor& target,
                             float upstream, Tensor& dprediction) = 0;
  // Row n of x [N, ...] becomes standard normal numbers: Philox(seeds[n], stream) at positions 0,
  // 1, ... in [H, W, C] order.
  virtual void normal(const std::vector<uint64_t>& seeds, uint64_t stream, Tensor& x) = 0;
  // Sum over all tensors of the squares of their elements, in double.
  virtual double sum_of_squares(const std::vector<Tensor>& tensors) = 0;
  virtual void adam(const AdamArgs& args, std::vector<AdamParameter>& parameters) = 0;
};

// The backend that computes on the tensors of a device. Defined by the table in kernels/select/.
Backend& backend_for(Device device);

// From now on backend_for(device) is `stand_in`, which must outlive that; null undoes it. No
// operation may run meanwhile.
void stand_in_for_backend(Device device, Backend* stand_in);

}  // namespace ddpm
