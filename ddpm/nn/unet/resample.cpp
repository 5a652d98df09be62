#include "ddpm/nn/unet/resample.h"

namespace ddpm {

Upsample::Upsample(const ResampleOptions& options, Device device)
    : conv_({.in_channels = options.in_channels,
             .out_channels = options.out_channels,
             .kernel = 3,
             .padding = 1},
            device) {
  add("1", conv_);
}

Downsample::Downsample(const ResampleOptions& options, Device device)
    : conv_({.in_channels = 4 * options.in_channels,
             .out_channels = options.out_channels,
             .kernel = 1},
            device) {
  add("1", conv_);
}

}  // namespace ddpm
