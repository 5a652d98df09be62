#include "ddpm/eval/inception.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/autograd/inference.h"
#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "ddpm/eval/inception_network.h"
#include "ddpm/eval/square_pictures.h"
#include "ddpm/io/safetensors.h"

namespace ddpm {
namespace {

constexpr char kWanted[] =
    "Inception-v3 is read from the state dict pt_inception-2015-12-05-6726825d.pth of "
    "https://github.com/mseitzer/pytorch-fid/releases, saved as safetensors";

// Pictures that pass through the network at once: about 100 MB of maps.
constexpr int64_t kPart = 8;

// Adds all tensors that the network reads to a hash.
StateDictSource hashed(const StateDictSource& source, Hasher& hasher) {
  return [&](const std::string& name, const Shape& shape, Layout layout) {
    const Tensor tensor = source(name, shape, layout);
    hasher.update(tensor.f32(), static_cast<size_t>(tensor.bytes()));
    return tensor;
  };
}

class InceptionFeatures : public FeatureNetwork {
 public:
  explicit InceptionFeatures(const StateDictSource& source) : InceptionFeatures(source, Hasher()) {}
  std::string name() const override { return name_; }
  int64_t width() const override { return InceptionNetwork::kFeatures; }

  Tensor operator()(const Tensor& images) const override {
    check_pictures("features", images);
    const Inference scope;
    Tensor result({images.size(0), width()});
    for (int64_t n = 0; n < images.size(0); n += kPart) {
      const int64_t end = std::min(n + kPart, images.size(0));
      const Tensor x = bilinear_pictures(images.rows(n, end), InceptionNetwork::kSide);
      result.rows(n, end).copy_from(network_(x));
    }
    return result;
  }

 private:
  InceptionFeatures(const StateDictSource& source, Hasher&& hasher)
      : network_(hashed(source, hasher)), name_("inception-v3-" + hasher.hex().substr(0, 12)) {}

  InceptionNetwork network_;
  std::string name_;
};

// torchvision's weights have the same names and shapes except for the last layer, which the
// features do not need. The figures would look right but could not be compared with others.
void refuse_torchvision(const SafetensorsFile& file) {
  constexpr int64_t kItsClasses = 1000;
  const SafetensorsEntry* last = file.find("fc.bias");
  if (last == nullptr || last->shape != Shape({kItsClasses})) return;
  fail("inception", fmt::format("{} holds the weights of torchvision, whose distances cannot be "
                                "compared with those of others. {}",
                                file.path(), kWanted));
}

}  // namespace

std::unique_ptr<FeatureNetwork> inception_features(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  refuse_torchvision(file);
  return inception_features([&](const std::string& name, const Shape& shape, Layout layout) {
    const SafetensorsEntry* entry = file.find(name);
    if (entry == nullptr) {
      fail("inception", fmt::format("{} lacks {}. {}", path, name, kWanted));
    }
    if (entry->shape != shape) {
      fail("inception", fmt::format("{} of {} is {} instead of {}. {}", name, path,
                                    entry->shape.str(), shape.str(), kWanted));
    }
    return file.read(name, layout);
  });
}

std::unique_ptr<FeatureNetwork> inception_features(const StateDictSource& source) {
  return std::make_unique<InceptionFeatures>(source);
}

}  // namespace ddpm
