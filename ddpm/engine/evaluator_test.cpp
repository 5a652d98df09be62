// With a network of features that is easy to follow, and small models with random weights.
#include "ddpm/engine/evaluator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "ddpm/base/file.h"
#include "ddpm/base/philox.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/dataset.h"
#include "ddpm/engine/feature_cache.h"
#include "ddpm/engine/model_bits.h"
#include "ddpm/engine/model_test_support.h"
#include "ddpm/eval/features.h"
#include "ddpm/nn/network.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kHeight = 6, kWidth = 4;

// The first three bytes of a picture. Counts the pictures that it has seen.
class FirstBytes : public FeatureNetwork {
 public:
  std::string name() const override { return "first-bytes"; }
  int64_t width() const override { return 3; }
  Tensor operator()(const Tensor& images) const override {
    Tensor features({images.size(0), 3});
    const int64_t size = images.elements() / images.size(0);
    for (int64_t n = 0; n < images.size(0); ++n) {
      for (int64_t d = 0; d < 3; ++d)
        features.f32()[3 * n + d] = static_cast<float>(images.u8()[n * size + d]);
    }
    seen += images.size(0);
    return features;
  }
  mutable int64_t seen = 0;
};

Tensor random_pictures(uint64_t seed, int64_t count) {
  Tensor pictures({count, kHeight, kWidth, 1}, DType::kUInt8);
  const Philox random(seed);
  for (int64_t i = 0; i < pictures.elements(); ++i)
    pictures.u8()[i] = static_cast<uint8_t>(random.below(256, static_cast<uint64_t>(i)));
  return pictures;
}

std::shared_ptr<const Pictures> dataset(uint64_t seed, int64_t count, int64_t classes = 0) {
  ClassLabels labels;
  for (int64_t i = 0; classes > 0 && i < count; ++i) labels.of_pictures.push_back(i % classes);
  for (int64_t c = 0; c < classes; ++c) labels.names.push_back(std::string(1, 'a' + c));
  return std::make_shared<Dataset>(random_pictures(seed, count), "random", labels);
}

struct Drawn {
  ModelConfig config = test::small_config(10);
  std::unique_ptr<Network> network;
  GenerateOptions options{.count = 12, .seed = 3, .sampling = {.steps = 2}};

  explicit Drawn(int64_t classes = 0, const std::string& condition = "none") {
    if (classes > 0) config.network.classes() = classes;
    for (int64_t c = 0; c < classes; ++c) config.class_names.push_back(std::string(1, 'a' + c));
    if (condition != "none") {
      config.condition = condition;
      config.network.condition_channels() = 1;
    }
    network = make_network(config.network);
    network->initialize(1);
  }
  std::unique_ptr<JudgedPictures> pictures(std::shared_ptr<const Pictures> data = nullptr) const {
    return drawn_pictures(*network, config, options, std::move(data));
  }
};

TEST(Apportion, DividesByLargestRemainders) {
  EXPECT_THAT(apportion(10, {5, 3, 2}), ElementsAre(5, 3, 2));
  EXPECT_THAT(apportion(10, {1, 1, 1}), ElementsAre(4, 3, 3));
  EXPECT_THAT(apportion(3, {97, 2, 1}), ElementsAre(3, 0, 0));
  EXPECT_THAT(apportion(5, {0, 0}), ElementsAre(3, 2));
}

TEST(DrawnPictures, AreThoseOfGenerateInAnyParts) {
  const Drawn drawn;
  const auto pictures = drawn.pictures();
  ASSERT_EQ(pictures->count(), 12);
  EXPECT_THAT(pictures->classes(), IsEmpty());
  const Tensor all = pictures->read(0, 12, {});
  const Tensor want = to_bytes(generate(*drawn.network, drawn.config, drawn.options));
  const Tensor part = pictures->read(7, 3, {});
  const int64_t size = kHeight * kWidth;
  for (int64_t i = 0; i < want.elements(); ++i) ASSERT_EQ(all.u8()[i], want.u8()[i]) << i;
  for (int64_t i = 0; i < part.elements(); ++i)
    ASSERT_EQ(part.u8()[i], want.u8()[7 * size + i]) << i;
}

TEST(DrawnPictures, AreOfClassesAsInTheTraining) {
  Drawn drawn(3);
  EXPECT_THAT(drawn.pictures()->classes(),
              ElementsAre("a", "a", "a", "a", "b", "b", "b", "b", "c", "c", "c", "c"));
  drawn.config.class_counts = {50, 0, 150};
  const auto pictures = drawn.pictures();
  EXPECT_THAT(pictures->classes(),
              ElementsAre("a", "a", "a", "c", "c", "c", "c", "c", "c", "c", "c", "c"));
  // Picture 4 is number 1 of class 2, whatever is read with it.
  GenerateOptions one = drawn.options;
  one.count = 1;
  one.first = 1;
  one.labels = {2};
  const Tensor want = to_bytes(generate(*drawn.network, drawn.config, one));
  const Tensor got = pictures->read(0, 6, {}).rows(4, 5);
  for (int64_t i = 0; i < want.elements(); ++i) ASSERT_EQ(got.u8()[i], want.u8()[i]) << i;
}

TEST(DrawnPictures, GetTheConditionsOfTheData) {
  const Drawn drawn(0, "downscale:2");
  EXPECT_THAT(test::refusal([&] { drawn.pictures(dataset(1, 9)); }),
              HasSubstr("draws from conditions"));
  const auto data = with_condition(dataset(1, 9), condition_of_model("downscale:2"));
  const auto pictures = drawn.pictures(data);
  const Tensor all = pictures->read(0, 12, {});
  EXPECT_EQ(all.size(0), 12);
  const Tensor one = pictures->read(10, 1, {});
  for (int64_t i = 0; i < one.elements(); ++i)
    ASSERT_EQ(one.u8()[i], all.u8()[10 * kHeight * kWidth + i]) << i;
}

TEST(Evaluator, ComparesAllPicturesAndClasses) {
  const FirstBytes network;
  const auto real = dataset(1, 80, 2);
  const auto judged = judged_pictures(dataset(2, 70, 2), 60);
  const Evaluation got = evaluate({.network = network, .real = *real, .judged = *judged});
  EXPECT_EQ(got.figures.n, 60);
  EXPECT_EQ(got.figures.n_real, 80);
  EXPECT_EQ(got.features, "first-bytes");
  EXPECT_EQ(got.figures.frechet, quality_figures(got.real, got.generated).frechet);
  EXPECT_EQ(got.duplicates, 0);
  ASSERT_THAT(got.classes, SizeIs(2));
  EXPECT_EQ(got.classes[1].name, "b");
  EXPECT_EQ(got.classes[0].figures.n_real, 40);
  EXPECT_EQ(got.classes[0].figures.n + got.classes[1].figures.n, 60);
  EXPECT_TRUE(got.classes[0].figures.frechet);
  EXPECT_THAT(got.figures.warnings, IsEmpty());
}

TEST(Evaluator, TellsOfCopiesAndOfPicturesLeftOut) {
  const FirstBytes network;
  const Tensor pictures = random_pictures(1, 80);
  const Dataset real(pictures, "real");
  Tensor twice = random_pictures(2, 40);
  twice.rows(10, 20).copy_from(pictures.rows(0, 10));
  twice.rows(20, 30).copy_from(twice.rows(10, 20));
  const auto judged = judged_pictures(std::make_shared<Dataset>(twice, "judged"), 40);
  const EvaluationRequest request{.network = network, .real = real, .judged = *judged};
  const Evaluation got = evaluate(request);
  EXPECT_EQ(got.duplicates, 10);
  ASSERT_TRUE(got.copies);
  EXPECT_GE(got.copies->share(), 0.5);
  EXPECT_THAT(got.figures.warnings,
              ElementsAre(HasSubstr("10 of 40 generated pictures are equal to another one")));
  // Each row of the grid begins with a copy and, beside it, the picture that it is a copy of.
  const Tensor grid = beside_neighbours(got, request, 3, 2);
  ASSERT_EQ(grid.shape(), (Shape{9, kHeight, kWidth, 1}));
  for (int64_t i = 0; i < kHeight * kWidth; ++i)
    ASSERT_EQ(grid.u8()[i], grid.u8()[kHeight * kWidth + i]);

  EvaluationRequest few = request;
  few.most_real = 30;
  const Evaluation part = evaluate(few);
  EXPECT_EQ(part.figures.n_real, 30);
  EXPECT_THAT(part.figures.warnings, ::testing::Contains(HasSubstr("30 of the 80 real pictures")));
}

TEST(Evaluator, KeepsTheFeaturesOfRealPictures) {
  const TemporaryFolder folder;
  const FirstBytes network;
  const auto real = dataset(1, 80);
  const auto judged = judged_pictures(dataset(2, 40), 40);
  std::vector<std::string> warnings;
  const FeatureCache cache(folder / "cache",
                           [&](const std::string& text) { warnings.push_back(text); });
  const EvaluationRequest request{
      .network = network, .real = *real, .judged = *judged, .cache = &cache};
  const Evaluation first = evaluate(request);
  EXPECT_EQ(network.seen, 120);
  EXPECT_EQ(evaluate(request).figures.frechet, first.figures.frechet);
  EXPECT_EQ(network.seen, 160);
  // Other pictures, or another choice of them, have another key.
  const auto others = dataset(5, 80);
  evaluate({.network = network, .real = *others, .judged = *judged, .cache = &cache});
  EXPECT_EQ(network.seen, 280);
  EvaluationRequest some = request;
  some.most_real = 50;
  evaluate(some);
  EXPECT_EQ(network.seen, 370);
  EXPECT_THAT(warnings, IsEmpty());
  // A damaged file is computed again, and then whole.
  for (const std::string& name : list_names(folder / "cache"))
    std::ofstream((folder / "cache/") + name, std::ios::app) << "x";
  EXPECT_EQ(evaluate(request).figures.frechet, first.figures.frechet);
  EXPECT_EQ(network.seen, 490);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("computed again")));
  evaluate(request);
  EXPECT_EQ(network.seen, 530);
}

TEST(FeatureCacheFolder, FollowsTheEnvironment) {
  const FeatureCache none("");
  EXPECT_EQ(none.file("key", "features"), "");
  EXPECT_FALSE(none.find("key", {1, 1}));
  none.store("key", Tensor::full({1, 1}, 1));
  // A folder that cannot be made is a warning.
  const TemporaryFolder folder;
  write_file_atomic(folder / "file", "");
  std::string warned;
  const FeatureCache broken(folder / "file", [&](const std::string& text) { warned = text; });
  broken.store("key", Tensor::full({1, 1}, 1));
  EXPECT_THAT(warned, HasSubstr("cannot keep"));
}

TEST(ModelBits, DoNotDependOnTheBatch) {
  const Drawn drawn(2);
  const auto data = dataset(1, 7, 2);
  const std::vector<int64_t> indices = real_indices(7, 5);
  const auto bits = [&](int64_t batch) {
    return model_bits(*drawn.network, drawn.config, *data, indices, {.steps = 4}, batch);
  };
  const ModelBits got = bits(5);
  EXPECT_EQ(got.count, 5);
  EXPECT_GT(got.mean, 1);
  EXPECT_TRUE(std::isfinite(got.mean));
  EXPECT_GT(got.standard_error, 0);
  EXPECT_NEAR(bits(2).mean, got.mean, 1e-6 * got.mean);
}

TEST(ModelBits, RefuseWhatDoesNotFit) {
  Drawn drawn;
  const auto coloured = std::make_shared<Dataset>(Tensor({2, 6, 4, 3}, DType::kUInt8), "colour");
  const auto bits = [&](const Pictures& pictures) {
    model_bits(*drawn.network, drawn.config, pictures, {0}, {}, 1);
  };
  EXPECT_THAT(test::refusal([&] { bits(*coloured); }), HasSubstr("3 channels"));
  drawn.config.process.objective = "flow";
  EXPECT_THAT(test::refusal([&] { bits(*dataset(1, 2)); }), HasSubstr("no variational bound"));
}

}  // namespace
}  // namespace ddpm
