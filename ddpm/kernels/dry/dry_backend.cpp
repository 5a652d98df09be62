#include "ddpm/kernels/dry/dry_backend.h"

#include <utility>

namespace ddpm {
namespace {

thread_local double flops = 0;

class DryBackend : public Backend {
 public:
  explicit DryBackend(const Backend& model) : model_(model) {}

  const char* name() const override { return "dry"; }

  void conv2d(const ConvArgs& args, const ConvInput& x, const ConvWeights& w, const Tensor*,
              Tensor& y) override {
    count_convolution(w.w, y);
    if (!w.prepared || *w.prepared || y.device() != Device::kDry) return;
    const int64_t floats = model_.conv2d_prepared_bytes(args, x, w) / size_of(DType::kFloat32);
    *w.prepared = std::make_shared<Tensor>(Shape{floats}, DType::kFloat32, Device::kDry);
  }
  void conv2d_backward_data(const ConvArgs&, const Tensor& dy, const ConvWeights& w, Tensor&,
                            Tensor*) override {
    count_convolution(w.w, dy);
  }
  void conv2d_backward_weights(const ConvArgs&, const ConvInput&, const Tensor& dy, Tensor& dw,
                               Tensor*) override {
    count_convolution(dw, dy);
  }

  void weight_moments(double, const Tensor&, Tensor&, Tensor&) override {}
  void weight_standardize_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                   Tensor&) override {}

  void group_norm(const NormArgs&, const Tensor&, const Tensor&, const Tensor&, const Tensor*,
                  const Tensor*, Tensor&, Tensor&, Tensor&) override {}
  void group_norm_again(const NormArgs&, const Tensor&, const Tensor&, const Tensor&, const Tensor*,
                        const Tensor&, const Tensor&, Tensor&) override {}
  void group_norm_backward(const NormArgs&, const Tensor&, const Tensor&, const Tensor&,
                           const Tensor&, const Tensor*, const Tensor&, const Tensor&, Tensor&,
                           Tensor&, Tensor&, Tensor*) override {}

  void linear(const Tensor& x, const Tensor& w, const Tensor*, Tensor&) override {
    count_linear(x.size(0), w);
  }
  void linear_backward_data(const Tensor& dy, const Tensor& w, Tensor&) override {
    count_linear(dy.size(0), w);
  }
  void linear_backward_weights(const Tensor& x, const Tensor&, Tensor& dw, Tensor*) override {
    count_linear(x.size(0), dw);
  }

  void activation(Activation, const Tensor&, Tensor&) override {}
  void activation_backward(Activation, const Tensor&, const Tensor&, Tensor&) override {}
  void add(const Tensor&, const Tensor&, Tensor&) override {}
  void combine(const std::vector<const Tensor*>&, const std::vector<std::vector<float>>&,
               Tensor&) override {}
  void clamp(float, float, Tensor&) override {}

  // Two products of n x n x d per head forward, five backward (the scores are computed again).
  void attention(const AttentionArgs&, const Tensor& qkv, Tensor&, Tensor&) override {
    count_attention(qkv, 2);
  }
  void attention_backward(const AttentionArgs&, const Tensor&, const Tensor& qkv, const Tensor&,
                          const Tensor&, Tensor&) override {
    count_attention(qkv, 5);
  }
  // Two products of n x d x d per head forward, four backward.
  void linear_attention(const AttentionArgs& args, const Tensor& qkv, Tensor&, Tensor&, Tensor&,
                        Tensor&) override {
    count_linear_attention(args, qkv.size(3) / 3, qkv.elements() / 3, 2);
  }
  void linear_attention_backward(const AttentionArgs& args, const Tensor&, const Tensor& qkv,
                                 const Tensor&, const Tensor&, const Tensor&, Tensor&) override {
    count_linear_attention(args, qkv.size(3) / 3, qkv.elements() / 3, 4);
  }
  void projected_linear_attention(const AttentionArgs& args, const Tensor& x,
                                  const AttentionProjections& w, Tensor&,
                                  LinearAttentionSums&) override {
    count_projected_linear_attention(args, x, w, 1);
  }
  void projected_linear_attention_backward(const AttentionArgs& args, const Tensor&,
                                           const Tensor& x, const AttentionProjections& w,
                                           const LinearAttentionSums&, Tensor&, Tensor&, Tensor&,
                                           Tensor&) override {
    count_projected_linear_attention(args, x, w, 2);
  }

  void space_to_depth(int64_t, const Tensor&, Tensor&) override {}
  void depth_to_space(int64_t, const Tensor&, Tensor&) override {}
  void upsample_nearest(const Tensor&, Tensor&) override {}
  void upsample_nearest_backward(const Tensor&, Tensor&) override {}
  void concat_channels(const Tensor&, const Tensor&, Tensor&) override {}
  void split_channels(const Tensor&, Tensor*, Tensor*) override {}
  void sinusoidal_embedding(const Tensor&, Tensor&) override {}
  double loss(LossKind, const Tensor&, const Tensor&) override { return 0; }
  void loss_backward(LossKind, const Tensor&, const Tensor&, float, Tensor&) override {}
  void normal(const std::vector<uint64_t>&, uint64_t, Tensor&) override {}
  double sum_of_squares(const std::vector<Tensor>&) override { return 0; }
  void adam(const AdamArgs&, std::vector<AdamParameter>&) override {}

 private:
  // w [kh, kw, C, K], y [N, P, Q, K]
  static void count_convolution(const Tensor& w, const Tensor& y) {
    flops +=
        2.0 * static_cast<double>(y.elements() / w.size(3)) * static_cast<double>(w.elements());
  }
  static void count_linear(int64_t rows, const Tensor& w) {
    flops += 2.0 * static_cast<double>(rows) * static_cast<double>(w.elements());
  }
  // qkv [N, H, W, 3 * heads * d]
  static void count_attention(const Tensor& qkv, double products) {
    const double positions = static_cast<double>(qkv.size(1) * qkv.size(2));
    flops += products * 2 * positions * static_cast<double>(qkv.elements() / 3);
  }
  // hidden = heads * d; elements of q
  static void count_linear_attention(const AttentionArgs& args, int64_t hidden, int64_t elements,
                                     double products) {
    flops += products * 2 * static_cast<double>(hidden / args.heads * elements);
  }
  // As its three operations one after another, each times `passes`.
  static void count_projected_linear_attention(const AttentionArgs& args, const Tensor& x,
                                               const AttentionProjections& w, int passes) {
    const int64_t rows = x.elements() / x.size(3), hidden = w.out.size(2);
    for (int pass = 0; pass < passes; ++pass) {
      count_linear(rows, w.qkv);
      count_linear(rows, w.out);
    }
    count_linear_attention(args, hidden, rows * hidden, 2 * passes);
  }

  const Backend& model_;
};

}  // namespace

double take_dry_flops() { return std::exchange(flops, 0.0); }

std::unique_ptr<Backend> make_dry_backend(const Backend& model) {
  return std::make_unique<DryBackend>(model);
}

}  // namespace ddpm
