#include "ddpm/eval/classifier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "ddpm/base/file.h"
#include "ddpm/base/philox.h"
#include "ddpm/io/safetensors.h"
#include "tests/support/compare.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

using ddpm::test::message_of;
using ddpm::test::refusal;

constexpr int64_t kSide = 12;

// Stripes three pixels wide that begin anywhere: across (class 0), down (class 1), or their product
// (class 2).
Tensor stripes(int64_t count) {
  Tensor images({count, kSide, kSide, 1}, DType::kUInt8);
  const Philox random(3);
  for (int64_t n = 0; n < count; ++n) {
    uint8_t* picture = images.u8() + n * kSide * kSide;
    const auto phase = static_cast<int64_t>(random.below(6, static_cast<uint64_t>(n)));
    for (int64_t i = 0; i < kSide; ++i) {
      for (int64_t j = 0; j < kSide; ++j) {
        const bool across = (i + phase) / 3 % 2, down = (j + phase) / 3 % 2;
        const bool lit = n % 3 == 0 ? across : n % 3 == 1 ? down : across != down;
        picture[i * kSide + j] = lit ? 230 : 20;
      }
    }
  }
  return images;
}

std::shared_ptr<const Pictures> striped_pictures(int64_t count) {
  const Tensor images = stripes(count);
  ClassLabels labels{.of_pictures = {}, .names = {"across", "down", "both ways"}};
  for (int64_t n = 0; n < count; ++n) labels.of_pictures.push_back(n % 3);
  return array_pictures({images.u8(), static_cast<size_t>(images.bytes())}, images.shape(), labels);
}

ClassifierOptions few_steps(int64_t steps) {
  return {.steps = steps, .batch = 16, .learning_rate = 5e-3, .held_out = 0.3};
}

TEST(Classifier, LearnsWhatTheLabelsTell) {
  std::vector<double> losses;
  const auto classifier = train_classifier(*striped_pictures(120), few_steps(30),
                                           [&](int64_t step, int64_t steps, double loss) {
                                             EXPECT_EQ(steps, 30);
                                             losses.push_back(loss);
                                             EXPECT_EQ(step, static_cast<int64_t>(losses.size()));
                                           });
  EXPECT_NEAR(losses.front(), 1.0986, 0.6);  // log 3, and what random weights add
  EXPECT_LT(losses.back(), 0.3);
  EXPECT_EQ(classifier->held_out(), 36);
  EXPECT_GE(classifier->accuracy(), 0.85);
  EXPECT_EQ(classifier->class_names(), (std::vector<std::string>{"across", "down", "both ways"}));

  const Tensor logits = classifier->logits(stripes(30));
  int right = 0;
  for (int64_t n = 0; n < 30; ++n) {
    const float* row = logits.f32() + 3 * n;
    right += std::max_element(row, row + 3) - row == n % 3;
  }
  EXPECT_GE(right, 25);
}

TEST(Classifier, IsTheSameForAnyThreadCountAndAnotherForAnotherSeed) {
  const auto pictures = striped_pictures(40);
  const auto trained = [&](int threads, uint64_t seed) {
    const test::ThreadsScope scope(threads);
    ClassifierOptions options = few_steps(2);
    options.seed = seed;
    return train_classifier(*pictures, options)->name();
  };
  const std::string name = trained(1, 0);
  EXPECT_EQ(name, trained(3, 0));
  EXPECT_NE(name, trained(1, 1));
  EXPECT_EQ(name.substr(0, 11), "classifier-");
}

TEST(Classifier, FeaturesDependOnThePictureAlone) {
  const auto classifier = train_classifier(*striped_pictures(40), few_steps(1));
  const Tensor images = stripes(70);
  const Tensor all = (*classifier)(images);
  EXPECT_EQ(all.shape(), Shape({70, classifier->width()}));
  for (const int64_t n : {0, 63, 64, 69}) {
    EXPECT_EQ((*classifier)(images.rows(n, n + 1)).values(), all.rows(n, n + 1).values());
  }
}

TEST(Classifier, ComesBackFromItsFile) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "classifier.safetensors";
  const auto classifier = train_classifier(*striped_pictures(40), few_steps(2));
  save_classifier(*classifier, path);
  const auto loaded = load_classifier(path);
  EXPECT_EQ(loaded->name(), classifier->name());
  EXPECT_EQ(loaded->accuracy(), classifier->accuracy());
  EXPECT_EQ(loaded->held_out(), classifier->held_out());
  EXPECT_EQ(loaded->class_names(), classifier->class_names());
  EXPECT_EQ((*loaded)(stripes(3)).values(), (*classifier)(stripes(3)).values());
  EXPECT_EQ(loaded->logits(stripes(3)).values(), classifier->logits(stripes(3)).values());
}

TEST(Classifier, SaysWhatItNeeds) {
  const Tensor images = stripes(40);
  const std::span<const uint8_t> bytes(images.u8(), static_cast<size_t>(images.bytes()));
  const auto unlabelled = array_pictures(bytes, images.shape());
  EXPECT_NE(refusal([&] { train_classifier(*unlabelled); }).find("--features random"),
            std::string::npos);
  const auto one = array_pictures(
      bytes, images.shape(), {.of_pictures = std::vector<int64_t>(40, 1), .names = {"a", "b"}});
  EXPECT_NE(refusal([&] { train_classifier(*one); }).find("pictures of 1 classes"),
            std::string::npos);
  EXPECT_NE(refusal([&] { train_classifier(*striped_pictures(19)); }).find("20 or more"),
            std::string::npos);
  EXPECT_NE(refusal([&] { train_classifier(*striped_pictures(40), {.steps = 0}); }).find("steps"),
            std::string::npos);
}

TEST(Classifier, SaysWhatIsWrongWithAFile) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  SafetensorsWriter writer;
  writer.set_metadata("ddpm.kind", "model");
  writer.write(path);
  EXPECT_NE(message_of([&] { load_classifier(path); }).find("not the file of a classifier"),
            std::string::npos);
  SafetensorsWriter second;
  second.set_metadata("ddpm.kind", "classifier");
  second.set_metadata("ddpm.config",
                      R"({"class_names": ["a", "b"], "accuracy": 1, "held_out": 2})");
  second.write(path);
  EXPECT_NE(message_of([&] { load_classifier(path); }).find("lacks conv1.weight"),
            std::string::npos);
}

}  // namespace
}  // namespace ddpm
