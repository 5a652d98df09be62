// Trains the classifier: cross-entropy, Adam, a learning rate that falls to zero along half a
// cosine, and pictures shifted at random. Pictures are read batch by batch, so the memory does not
// grow with the source.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "ddpm/autograd/variable.h"
#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/data/batch_sampler.h"
#include "ddpm/eval/square_pictures.h"
#include "ddpm/eval/trained_classifier.h"
#include "ddpm/optim/adam.h"

namespace ddpm {
namespace {

// Streams of random numbers, one for each purpose.
constexpr uint64_t kSplitStream = 1, kWeightsStream = 2, kOrderStream = 3, kShiftStream = 4;
constexpr int64_t kLeastPictures = 20;
// Pixels, to each side, of the network's input.
constexpr int64_t kMostShift = 2;

struct Split {
  std::vector<int64_t> training, held_out;
};

// Divides the pictures that have a class at random.
Split split_pictures(const std::vector<int64_t>& labels, const ClassifierOptions& options) {
  std::vector<int64_t> known;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= 0) known.push_back(static_cast<int64_t>(i));
  }
  const auto count = static_cast<int64_t>(known.size());
  if (count < kLeastPictures) {
    fail_usage("classifier", fmt::format("only {} pictures have a class, and a classifier needs {} "
                                         "or more; --features random needs no classes",
                                         count, kLeastPictures));
  }
  const std::vector<int64_t> order =
      BatchSampler({.images = count, .batch = count, .seed = mix_seed(options.seed, kSplitStream)})
          .at(0)
          .indices;
  const auto held = std::max<int64_t>(
      1, static_cast<int64_t>(std::floor(static_cast<double>(count) * options.held_out)));
  Split split;
  for (int64_t i = 0; i < count; ++i) {
    (i < held ? split.held_out : split.training).push_back(known[static_cast<size_t>(order[i])]);
  }
  return split;
}

// The pictures [N, 32, 32, 3] of these indices.
Tensor network_input(const Pictures& pictures, const std::vector<int64_t>& indices) {
  const Batch batch = pictures.batch({.indices = indices, .flips = {}});
  return square_pictures(to_bytes(batch.images), ClassifierNetwork::kSide);
}

// Moves picture [side, side, 3] by (dy, dx). Pixels beyond the border are those of the border.
void shift(const float* from, int64_t dy, int64_t dx, float* to) {
  constexpr int64_t kSide = ClassifierNetwork::kSide;
  for (int64_t i = 0; i < kSide; ++i) {
    const int64_t y = std::clamp<int64_t>(i - dy, 0, kSide - 1);
    for (int64_t j = 0; j < kSide; ++j, to += 3) {
      const int64_t x = std::clamp<int64_t>(j - dx, 0, kSide - 1);
      std::copy_n(from + (y * kSide + x) * 3, 3, to);
    }
  }
}

// `first` is the number of pictures before this batch.
Tensor shifted(const Tensor& images, uint64_t seed, uint64_t first) {
  const Philox random(seed, kShiftStream);
  Tensor result(images.shape());
  const int64_t size = images.elements() / std::max<int64_t>(1, images.size(0));
  for (int64_t n = 0; n < images.size(0); ++n) {
    const auto drawn = [&](uint64_t axis) {
      const uint64_t position = 2 * (first + static_cast<uint64_t>(n)) + axis;
      return static_cast<int64_t>(random.below(2 * kMostShift + 1, position)) - kMostShift;
    };
    shift(images.f32() + n * size, drawn(0), drawn(1), result.f32() + n * size);
  }
  return result;
}

struct CrossEntropy {
  // The mean over the batch, in nats, and its gradient with respect to the logits.
  double loss = 0;
  Tensor dlogits;
};

// logits [N, 1, 1, K]
CrossEntropy cross_entropy(const Tensor& logits, const std::vector<int64_t>& classes) {
  const int64_t count = logits.size(0), width = logits.size(3);
  CrossEntropy result{.loss = 0, .dlogits = Tensor(logits.shape())};
  for (int64_t n = 0; n < count; ++n) {
    const float* x = logits.f32() + n * width;
    float* dx = result.dlogits.f32() + n * width;
    const double highest = *std::max_element(x, x + width);
    double sum = 0;
    for (int64_t k = 0; k < width; ++k) sum += std::exp(x[k] - highest);
    const int64_t wanted = classes[static_cast<size_t>(n)];
    result.loss += (std::log(sum) + highest - x[wanted]) / static_cast<double>(count);
    for (int64_t k = 0; k < width; ++k) {
      const double share = std::exp(x[k] - highest) / sum - (k == wanted ? 1 : 0);
      dx[k] = static_cast<float>(share / static_cast<double>(count));
    }
  }
  return result;
}

class Training {
 public:
  Training(const Pictures& pictures, const ClassifierOptions& options)
      : pictures_(pictures),
        options_(options),
        labels_(pictures.labels()),
        split_(split_pictures(labels_, options)),
        sampler_({.images = static_cast<int64_t>(split_.training.size()),
                  .batch = options.batch,
                  .seed = mix_seed(options.seed, kOrderStream)}),
        network_(std::make_unique<ClassifierNetwork>(
            static_cast<int64_t>(pictures.class_names().size()))),
        adam_(initial_weights(), {.learning_rate = options.learning_rate}) {}

  // Returns the loss.
  double step(int64_t number) {
    std::vector<int64_t> indices;
    for (const int64_t i : sampler_.at(number).indices) {
      indices.push_back(split_.training[static_cast<size_t>(i)]);
    }
    const Variable x(shifted(network_input(pictures_, indices), options_.seed,
                             static_cast<uint64_t>(number * options_.batch)));
    Tape tape;
    Variable logits;
    {
      const Tape::Recording recording(tape);
      logits = network_->logits(network_->features(x));
    }
    CrossEntropy error = cross_entropy(logits.value(), classes_of(indices));
    if (!std::isfinite(error.loss)) {
      fail("classifier", fmt::format("the loss became {} at step {}; a lower learning rate helps",
                                     error.loss, number + 1));
    }
    tape.backward(logits, std::move(error.dlogits));
    const double done = static_cast<double>(number) / static_cast<double>(options_.steps);
    adam_.set_learning_rate(options_.learning_rate * (1 + std::cos(std::numbers::pi * done)) / 2);
    adam_.step(0);
    return error.loss;
  }

  std::unique_ptr<Classifier> finish() {
    const ClassifierFacts facts{.class_names = pictures_.class_names(),
                                .accuracy = accuracy(),
                                .held_out = static_cast<int64_t>(split_.held_out.size())};
    return std::make_unique<TrainedClassifier>(std::move(network_), facts);
  }

 private:
  std::vector<Variable> initial_weights() {
    network_->initialize(mix_seed(options_.seed, kWeightsStream));
    std::vector<Variable> variables;
    for (const NamedParameter& named : network_->parameters()) {
      variables.push_back(named.parameter->variable);
    }
    return variables;
  }

  std::vector<int64_t> classes_of(const std::vector<int64_t>& indices) const {
    std::vector<int64_t> classes;
    for (const int64_t i : indices) classes.push_back(labels_[static_cast<size_t>(i)]);
    return classes;
  }

  double accuracy() const {
    int64_t right = 0;
    const auto count = static_cast<int64_t>(split_.held_out.size());
    for (int64_t begin = 0; begin < count; begin += options_.batch) {
      const int64_t end = std::min(begin + options_.batch, count);
      const std::vector<int64_t> indices(split_.held_out.begin() + begin,
                                         split_.held_out.begin() + end);
      const Variable x(network_input(pictures_, indices));
      const Tensor logits = network_->logits(network_->features(x)).value();
      const std::vector<int64_t> classes = classes_of(indices);
      for (int64_t n = 0; n < end - begin; ++n) {
        const float* row = logits.f32() + n * logits.size(3);
        right += std::max_element(row, row + logits.size(3)) - row == classes[n];
      }
    }
    return static_cast<double>(right) / static_cast<double>(count);
  }

  const Pictures& pictures_;
  const ClassifierOptions options_;
  const std::vector<int64_t> labels_;
  const Split split_;
  BatchSampler sampler_;
  std::unique_ptr<ClassifierNetwork> network_;
  Adam adam_;
};

// The least number of classes that have pictures is two.
void check_classes(const Pictures& pictures) {
  const std::vector<int64_t> counts = class_counts(pictures);
  const auto used = std::count_if(counts.begin(), counts.end(), [](int64_t n) { return n > 0; });
  if (used >= 2) return;
  fail_usage("classifier",
             fmt::format("{} has pictures of {} classes, and a classifier needs two or more; "
                         "--features random needs no classes",
                         pictures.name(), used));
}

}  // namespace

void ClassifierOptions::fields(Fields& field) {
  field.group("Classifier");
  field("steps", steps, "training steps of the classifier").range(1, 1'000'000);
  field("batch", batch, "pictures per step").range(1, 65536);
  field("learning_rate", learning_rate, "learning rate at the first step").above(0, 1);
  field("held_out", held_out, "share of the pictures that measure the accuracy").between(0, 1);
  field("seed", seed, "seed of weights, order and shifts");
}

std::unique_ptr<Classifier> train_classifier(const Pictures& pictures,
                                             const ClassifierOptions& options,
                                             const ClassifierProgress& progress) {
  check_options("classifier", options);
  check_classes(pictures);
  Training training(pictures, options);
  for (int64_t i = 0; i < options.steps; ++i) {
    const double loss = training.step(i);
    if (progress) progress(i + 1, options.steps, loss);
  }
  return training.finish();
}

}  // namespace ddpm
