// A classifier from its network. Private to eval.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ddpm/eval/classifier.h"
#include "ddpm/eval/classifier_network.h"

namespace ddpm {

struct ClassifierFacts {
  std::vector<std::string> class_names;
  double accuracy = 0;
  int64_t held_out = 0;
};

class TrainedClassifier : public Classifier {
 public:
  TrainedClassifier(std::unique_ptr<ClassifierNetwork> network, ClassifierFacts facts);

  std::string name() const override { return name_; }
  int64_t width() const override { return ClassifierNetwork::kFeatures; }
  const std::vector<std::string>& class_names() const override { return facts_.class_names; }
  double accuracy() const override { return facts_.accuracy; }
  int64_t held_out() const override { return facts_.held_out; }
  Tensor operator()(const Tensor& images) const override;
  Tensor logits(const Tensor& images) const override;

  // The network's parameters, which must not be changed.
  std::vector<NamedParameter> parameters() const { return network_->parameters(); }

 private:
  // A pointer, because parameters() of a module is not const.
  std::unique_ptr<ClassifierNetwork> network_;
  ClassifierFacts facts_;
  std::string name_;
};

}  // namespace ddpm
