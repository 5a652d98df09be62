#include "ddpm/eval/trained_classifier.h"

#include <algorithm>

#include "ddpm/autograd/inference.h"
#include "ddpm/base/hash.h"
#include "ddpm/eval/square_pictures.h"

namespace ddpm {
namespace {

// Pictures that pass through the network at once.
constexpr int64_t kPart = 64;

// Images [N, H, W, C] -> [N, width]; `apply` turns [n, 32, 32, 3] into [n, 1, 1, width].
template <class Apply>
Tensor in_parts(const Tensor& images, int64_t width, const Apply& apply) {
  check_pictures("features", images);
  const Inference scope;
  Tensor result({images.size(0), width});
  for (int64_t n = 0; n < images.size(0); n += kPart) {
    const int64_t end = std::min(n + kPart, images.size(0));
    const Variable x(square_pictures(images.rows(n, end), ClassifierNetwork::kSide));
    result.rows(n, end).copy_from(apply(x).value().reshape({end - n, width}));
  }
  return result;
}

}  // namespace

TrainedClassifier::TrainedClassifier(std::unique_ptr<ClassifierNetwork> network,
                                     ClassifierFacts facts)
    : network_(std::move(network)), facts_(std::move(facts)) {
  Hasher hasher;
  for (const NamedParameter& named : network_->parameters()) {
    const Tensor& value = named.parameter->variable.value();
    hasher.update(value.f32(), static_cast<size_t>(value.bytes()));
  }
  name_ = "classifier-" + hasher.hex().substr(0, 12);
}

Tensor TrainedClassifier::operator()(const Tensor& images) const {
  return in_parts(images, width(), [&](const Variable& x) { return network_->features(x); });
}

Tensor TrainedClassifier::logits(const Tensor& images) const {
  return in_parts(images, static_cast<int64_t>(facts_.class_names.size()),
                  [&](const Variable& x) { return network_->logits(network_->features(x)); });
}

}  // namespace ddpm
