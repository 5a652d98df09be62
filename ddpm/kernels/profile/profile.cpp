#include "ddpm/kernels/profile/profile.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "ddpm/kernels/dry/dry_backend.h"

namespace ddpm {
namespace {

std::string shape_of(const Tensor& x) {
  const Shape& s = x.shape();
  std::string text;
  for (int axis = 0; axis < s.rank(); ++axis) text += fmt::format("{}{}", axis ? "x" : "", s[axis]);
  return text;
}

std::string convolution(const Tensor& w, const Tensor& x) {
  return fmt::format("{}x{} {}->{} on {}x{}x{}", w.size(0), w.size(1), w.size(2), w.size(3),
                     x.size(0), x.size(1), x.size(2));
}

std::string product(const Tensor& w, const Tensor& rows) {
  return fmt::format("{}->{} on {}", w.size(0), w.size(1), rows.size(0));
}

}  // namespace

class Profile::Timer : public Backend {
 public:
  explicit Timer(Backend& backend) : backend_(backend) {}

  const char* name() const override { return backend_.name(); }
  int64_t conv2d_prepared_bytes(const ConvArgs& args, const ConvInput& x,
                                const ConvWeights& w) const override {
    return backend_.conv2d_prepared_bytes(args, x, w);
  }
  std::string conv2d_algorithm(ConvPass pass, const ConvArgs& args, const Tensor& x,
                               const Tensor& w) const override {
    return backend_.conv2d_algorithm(pass, args, x, w);
  }

  void conv2d(const ConvArgs& args, const ConvInput& x, const ConvWeights& w, const Tensor* bias,
              Tensor& y) override {
    time(
        "conv2d", convolution(w.w, x.x), [&](Backend& b) { b.conv2d(args, x, w, bias, y); },
        conv2d_algorithm(ConvPass::kForward, args, x.x, w.w));
  }
  void conv2d_backward_data(const ConvArgs& args, const Tensor& dy, const ConvWeights& w,
                            Tensor& dx, Tensor* dmore) override {
    time(
        "conv2d backward data", convolution(w.w, dx),
        [&](Backend& b) { b.conv2d_backward_data(args, dy, w, dx, dmore); },
        conv2d_algorithm(ConvPass::kBackwardData, args, dx, w.w));
  }
  void conv2d_backward_weights(const ConvArgs& args, const ConvInput& x, const Tensor& dy,
                               Tensor& dw, Tensor* dbias) override {
    time(
        "conv2d backward weights", convolution(dw, x.x),
        [&](Backend& b) { b.conv2d_backward_weights(args, x, dy, dw, dbias); },
        conv2d_algorithm(ConvPass::kBackwardWeights, args, x.x, dw));
  }

  void weight_moments(double eps, const Tensor& w, Tensor& mean, Tensor& rstd) override {
    time("weight_moments", shape_of(w), [&](Backend& b) { b.weight_moments(eps, w, mean, rstd); });
  }
  void weight_standardize_backward(const Tensor& dstandardized, const Tensor& w, const Tensor& mean,
                                   const Tensor& rstd, Tensor& dw) override {
    time("weight_standardize backward", shape_of(w),
         [&](Backend& b) { b.weight_standardize_backward(dstandardized, w, mean, rstd, dw); });
  }

  void group_norm(const NormArgs& args, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  const Tensor* film, const Tensor* residual, Tensor& y, Tensor& mean,
                  Tensor& rstd) override {
    time(norm_name(args, film) + (residual ? " add" : ""), shape_of(x),
         [&](Backend& b) { b.group_norm(args, x, gamma, beta, film, residual, y, mean, rstd); });
  }
  void group_norm_again(const NormArgs& args, const Tensor& x, const Tensor& gamma,
                        const Tensor& beta, const Tensor* film, const Tensor& mean,
                        const Tensor& rstd, Tensor& y) override {
    time(norm_name(args, film) + " again", shape_of(x),
         [&](Backend& b) { b.group_norm_again(args, x, gamma, beta, film, mean, rstd, y); });
  }
  void group_norm_backward(const NormArgs& args, const Tensor& dy, const Tensor& x,
                           const Tensor& gamma, const Tensor& beta, const Tensor* film,
                           const Tensor& mean, const Tensor& rstd, Tensor& dx, Tensor& dgamma,
                           Tensor& dbeta, Tensor* dfilm) override {
    time(norm_name(args, film) + " backward", shape_of(x), [&](Backend& b) {
      b.group_norm_backward(args, dy, x, gamma, beta, film, mean, rstd, dx, dgamma, dbeta, dfilm);
    });
  }

  void linear(const Tensor& x, const Tensor& w, const Tensor* bias, Tensor& y) override {
    time("linear", product(w, x), [&](Backend& b) { b.linear(x, w, bias, y); });
  }
  void linear_backward_data(const Tensor& dy, const Tensor& w, Tensor& dx) override {
    time("linear backward data", product(w, dx),
         [&](Backend& b) { b.linear_backward_data(dy, w, dx); });
  }
  void linear_backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw,
                               Tensor* dbias) override {
    time("linear backward weights", product(dw, x),
         [&](Backend& b) { b.linear_backward_weights(x, dy, dw, dbias); });
  }

  void activation(Activation kind, const Tensor& x, Tensor& y) override {
    time("activation", shape_of(x), [&](Backend& b) { b.activation(kind, x, y); });
  }
  void activation_backward(Activation kind, const Tensor& dy, const Tensor& x,
                           Tensor& dx) override {
    time("activation backward", shape_of(x),
         [&](Backend& b) { b.activation_backward(kind, dy, x, dx); });
  }
  void add(const Tensor& a, const Tensor& b, Tensor& y) override {
    time("add", shape_of(y), [&](Backend& backend) { backend.add(a, b, y); });
  }
  void combine(const std::vector<const Tensor*>& inputs,
               const std::vector<std::vector<float>>& coefficients, Tensor& y) override {
    time("combine", shape_of(y), [&](Backend& b) { b.combine(inputs, coefficients, y); });
  }
  void clamp(float low, float high, Tensor& x) override {
    time("clamp", shape_of(x), [&](Backend& b) { b.clamp(low, high, x); });
  }

  void attention(const AttentionArgs& args, const Tensor& qkv, Tensor& out,
                 Tensor& logsumexp) override {
    time("attention", shape_of(qkv), [&](Backend& b) { b.attention(args, qkv, out, logsumexp); });
  }
  void attention_backward(const AttentionArgs& args, const Tensor& dout, const Tensor& qkv,
                          const Tensor& out, const Tensor& logsumexp, Tensor& dqkv) override {
    time("attention backward", shape_of(qkv),
         [&](Backend& b) { b.attention_backward(args, dout, qkv, out, logsumexp, dqkv); });
  }
  void linear_attention(const AttentionArgs& args, const Tensor& qkv, Tensor& out, Tensor& context,
                        Tensor& k_max, Tensor& k_sum) override {
    time("linear_attention", shape_of(qkv),
         [&](Backend& b) { b.linear_attention(args, qkv, out, context, k_max, k_sum); });
  }
  void linear_attention_backward(const AttentionArgs& args, const Tensor& dout, const Tensor& qkv,
                                 const Tensor& context, const Tensor& k_max, const Tensor& k_sum,
                                 Tensor& dqkv) override {
    time("linear_attention backward", shape_of(qkv), [&](Backend& b) {
      b.linear_attention_backward(args, dout, qkv, context, k_max, k_sum, dqkv);
    });
  }
  void projected_linear_attention(const AttentionArgs& args, const Tensor& x,
                                  const AttentionProjections& w, Tensor& y,
                                  LinearAttentionSums& sums) override {
    time("projected_linear_attention", shape_of(x),
         [&](Backend& b) { b.projected_linear_attention(args, x, w, y, sums); });
  }
  void projected_linear_attention_backward(const AttentionArgs& args, const Tensor& dy,
                                           const Tensor& x, const AttentionProjections& w,
                                           const LinearAttentionSums& sums, Tensor& dx,
                                           Tensor& dw_qkv, Tensor& dw_out, Tensor& dbias) override {
    time("projected_linear_attention backward", shape_of(x), [&](Backend& b) {
      b.projected_linear_attention_backward(args, dy, x, w, sums, dx, dw_qkv, dw_out, dbias);
    });
  }

  void space_to_depth(int64_t size, const Tensor& x, Tensor& y) override {
    time("space_to_depth", shape_of(x), [&](Backend& b) { b.space_to_depth(size, x, y); });
  }
  void depth_to_space(int64_t size, const Tensor& x, Tensor& y) override {
    time("depth_to_space", shape_of(x), [&](Backend& b) { b.depth_to_space(size, x, y); });
  }
  void upsample_nearest(const Tensor& x, Tensor& y) override {
    time("upsample_nearest", shape_of(x), [&](Backend& b) { b.upsample_nearest(x, y); });
  }
  void upsample_nearest_backward(const Tensor& dy, Tensor& dx) override {
    time("upsample_nearest backward", shape_of(dx),
         [&](Backend& b) { b.upsample_nearest_backward(dy, dx); });
  }
  void concat_channels(const Tensor& a, const Tensor& b, Tensor& y) override {
    time("concat_channels", shape_of(y),
         [&](Backend& backend) { backend.concat_channels(a, b, y); });
  }
  void split_channels(const Tensor& y, Tensor* a, Tensor* b) override {
    time("split_channels", shape_of(y), [&](Backend& backend) { backend.split_channels(y, a, b); });
  }

  void sinusoidal_embedding(const Tensor& t, Tensor& y) override {
    time("sinusoidal_embedding", shape_of(y), [&](Backend& b) { b.sinusoidal_embedding(t, y); });
  }
  double loss(LossKind kind, const Tensor& prediction, const Tensor& target) override {
    double result = 0;
    time("loss", shape_of(prediction),
         [&](Backend& b) { result = b.loss(kind, prediction, target); });
    return result;
  }
  void loss_backward(LossKind kind, const Tensor& prediction, const Tensor& target, float upstream,
                     Tensor& dprediction) override {
    time("loss backward", shape_of(prediction),
         [&](Backend& b) { b.loss_backward(kind, prediction, target, upstream, dprediction); });
  }
  void normal(const std::vector<uint64_t>& seeds, uint64_t stream, Tensor& x) override {
    time("normal", shape_of(x), [&](Backend& b) { b.normal(seeds, stream, x); });
  }
  double sum_of_squares(const std::vector<Tensor>& tensors) override {
    double result = 0;
    time("sum_of_squares", fmt::format("{} tensors", tensors.size()),
         [&](Backend& b) { result = b.sum_of_squares(tensors); });
    return result;
  }
  void adam(const AdamArgs& args, std::vector<AdamParameter>& parameters) override {
    time("adam", fmt::format("{} tensors", parameters.size()),
         [&](Backend& b) { b.adam(args, parameters); });
  }

  std::vector<ProfiledOperation> take() { return std::exchange(operations_, {}); }

 private:
  static std::string norm_name(const NormArgs& args, const Tensor* film) {
    return fmt::format("group_norm{}{}", film ? " film" : "", args.silu ? " silu" : "");
  }

  // The dry run comes first, so that what `call` returns is the backend's.
  template <class Call>
  void time(std::string operation, std::string shape, const Call& call,
            std::string algorithm = "") {
    using Clock = std::chrono::steady_clock;
    take_dry_flops();
    call(backend_for(Device::kDry));
    const double flops = take_dry_flops();
    const Clock::time_point start = Clock::now();
    call(backend_);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    auto known = std::find_if(operations_.begin(), operations_.end(), [&](const auto& other) {
      return other.operation == operation && other.shape == shape && other.algorithm == algorithm;
    });
    if (known == operations_.end()) {
      operations_.push_back({std::move(operation), std::move(shape), std::move(algorithm)});
      known = operations_.end() - 1;
    }
    ++known->calls;
    known->seconds += seconds;
    known->flops += flops;
  }

  Backend& backend_;
  std::vector<ProfiledOperation> operations_;
};

Profile::Profile(Device device)
    : device_(device), timer_(std::make_unique<Timer>(backend_for(device))) {
  stand_in_for_backend(device, timer_.get());
}

Profile::~Profile() { stand_in_for_backend(device_, nullptr); }

std::vector<ProfiledOperation> Profile::take() { return timer_->take(); }

}  // namespace ddpm
