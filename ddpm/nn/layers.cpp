#include "ddpm/nn/layers.h"

#include <fmt/core.h>

#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"

namespace ddpm {
namespace {

Parameter make_parameter(Shape shape, float value, double init_bound, Device device) {
  return {Variable::leaf(Tensor::full(shape, value, device)), init_bound};
}

}  // namespace

Conv2d::Conv2d(const Conv2dOptions& options, Device device) : options_(options) {
  const int64_t k = options.kernel;
  const double bound = 1 / std::sqrt(static_cast<double>(options.in_channels * k * k));
  weight_ = make_parameter({k, k, options.in_channels, options.out_channels}, 0, bound, device);
  add("weight", weight_);
  if (options.bias) {
    bias_ = make_parameter({options.out_channels}, 0, bound, device);
    add("bias", bias_);
  }
}

Variable Conv2d::convolve(const Variable& x, const ConvExtras& extras) const {
  return conv2d(x, weight_.variable, options_.bias ? &bias_.variable : nullptr,
                {.stride = options_.stride, .padding = options_.padding}, extras);
}

Variable Conv2d::operator()(const Variable& x, const Variable* more) const {
  return convolve(x, {.more = more});
}

Variable WeightStandardizedConv2d::operator()(const Variable& x, const Variable* more) const {
  return convolve(x, {.more = more, .standardize_eps = eps_});
}

Linear::Linear(const Options& options, Device device) {
  const double bound = 1 / std::sqrt(static_cast<double>(options.in_features));
  weight_ = make_parameter({options.in_features, options.out_features}, 0, bound, device);
  bias_ = make_parameter({options.out_features}, 0, bound, device);
  add("weight", weight_);
  add("bias", bias_);
}

Variable Linear::operator()(const Variable& x) const {
  return linear(x, weight_.variable, &bias_.variable);
}

GroupNorm::GroupNorm(const Options& options, Device device) : options_(options) {
  if (options.groups < 1 || options.channels % options.groups != 0) {
    std::vector<std::string> divisors;
    for (int64_t g = 1; g <= options.channels && g <= 32; ++g) {
      if (options.channels % g == 0) divisors.push_back(std::to_string(g));
    }
    fail_usage("group_norm", fmt::format("{} groups do not divide a width of {} channels; {} would",
                                         options.groups, options.channels, join_choices(divisors)));
  }
  weight_ = make_parameter({options.channels}, 1, 0, device);
  bias_ = make_parameter({options.channels}, 0, 0, device);
  add("weight", weight_);
  add("bias", bias_);
}

Variable GroupNorm::operator()(const Variable& x, const Variable* residual) const {
  return group_norm(x, weight_.variable, bias_.variable, nullptr, {.groups = options_.groups},
                    residual);
}

Variable GroupNorm::film_silu(const Variable& x, const Variable* film,
                              const Variable* residual) const {
  return group_norm(x, weight_.variable, bias_.variable, film,
                    {.groups = options_.groups, .silu = true}, residual);
}

}  // namespace ddpm
