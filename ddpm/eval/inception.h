// Inception-v3 with weights that the user has. With those of pytorch-fid, the Frechet distance of
// its features is the field's FID.
#pragma once

#include <memory>
#include <string>

#include "ddpm/eval/features.h"
#include "ddpm/eval/inception_layer.h"

namespace ddpm {

// path: a safetensors file with the state dict of pytorch-fid's network
// (pt_inception-2015-12-05-6726825d.pth). Pictures are resized to 299x299 as pytorch-fid does,
// without a filter. 2048 features. Throws Error naming the tensor that is missing, has another
// shape or holds a value that is not finite, and for torchvision's weights.
std::unique_ptr<FeatureNetwork> inception_features(const std::string& path);

// The same with tensors from anywhere.
std::unique_ptr<FeatureNetwork> inception_features(const StateDictSource& source);

}  // namespace ddpm
