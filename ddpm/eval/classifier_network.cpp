#include "ddpm/eval/classifier_network.h"

namespace ddpm {
namespace {

Conv2dOptions conv(int64_t in, int64_t out, int64_t kernel, int64_t stride) {
  return {.in_channels = in,
          .out_channels = out,
          .kernel = kernel,
          .stride = stride,
          .padding = kernel == 3 ? 1 : 0};
}

GroupNorm::Options norm(int64_t channels) { return {.groups = 8, .channels = channels}; }

}  // namespace

ClassifierNetwork::ClassifierNetwork(int64_t classes)
    : conv1_(conv(3, 32, 3, 2), Device::kCpu),
      conv2_(conv(32, 32, 3, 1), Device::kCpu),
      conv3_(conv(32, 64, 3, 2), Device::kCpu),
      conv4_(conv(64, 96, 3, 2), Device::kCpu),
      whole_(conv(96, kFeatures, kSide / 8, 1), Device::kCpu),
      last_(conv(kFeatures, classes, 1, 1), Device::kCpu),
      norm1_(norm(32), Device::kCpu),
      norm2_(norm(32), Device::kCpu),
      norm3_(norm(64), Device::kCpu),
      norm4_(norm(96), Device::kCpu) {
  add("conv1", conv1_);
  add("norm1", norm1_);
  add("conv2", conv2_);
  add("norm2", norm2_);
  add("conv3", conv3_);
  add("norm3", norm3_);
  add("conv4", conv4_);
  add("norm4", norm4_);
  add("whole", whole_);
  add("last", last_);
}

Variable ClassifierNetwork::features(const Variable& x) const {
  Variable y = norm1_.film_silu(conv1_(x), nullptr);
  y = norm2_.film_silu(conv2_(y), nullptr);
  y = norm3_.film_silu(conv3_(y), nullptr);
  y = norm4_.film_silu(conv4_(y), nullptr);
  return activation(Activation::kSilu, whole_(y));
}

}  // namespace ddpm
