// A small classifier that is trained on the labels of a source. What it computes before its last
// layer are features that fit these pictures: they tell apart what the labels tell apart.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ddpm/base/options.h"
#include "ddpm/data/pictures.h"
#include "ddpm/eval/features.h"

namespace ddpm {

struct ClassifierOptions {
  int64_t steps = 1200;
  int64_t batch = 64;
  double learning_rate = 2e-3;
  // The share of the labelled pictures that are not trained on, to measure the accuracy.
  double held_out = 0.1;
  uint64_t seed = 0;

  void fields(Fields& field);
};

class Classifier : public FeatureNetwork {
 public:
  // bytes [N, H, W, C] -> float32 [N, classes]: the logarithms of the probabilities, but for a
  // constant of each picture. Otherwise like operator().
  virtual Tensor logits(const Tensor& images) const = 0;
  // In the order of the labels.
  virtual const std::vector<std::string>& class_names() const = 0;
  // The share of the held-out pictures whose class has the largest logit, and their number.
  virtual double accuracy() const = 0;
  virtual int64_t held_out() const = 0;
};

// Called after each step with its number (1, 2, ...), the number of all steps, and the loss. What
// it throws ends the training.
using ClassifierProgress = std::function<void(int64_t step, int64_t steps, double loss)>;

// Trains by Adam on the cross-entropy, on pictures that are shifted at random by up to two pixels
// of 32. Pictures without a class are left out. The result depends on the pictures, the options and
// the kind of processor, not on the number of threads. Throws UsageError for options out of range
// and for pictures that have fewer than two classes or fewer than 20 labelled pictures, and Error
// if the training fails.
std::unique_ptr<Classifier> train_classifier(const Pictures& pictures,
                                             const ClassifierOptions& options = {},
                                             const ClassifierProgress& progress = {});

// Writes a classifier to a safetensors file. load_classifier() gives one with the same name and the
// same features. Throws Error naming the path, and what is wrong with the file.
void save_classifier(const Classifier& classifier, const std::string& path);
std::unique_ptr<Classifier> load_classifier(const std::string& path);

}  // namespace ddpm
