#include "ddpm/data/held_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <span>
#include <string>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/dataset.h"

namespace ddpm {
namespace {

using ::testing::HasSubstr;

// Pictures of 2x2 pixels that differ from each other. Picture k has the label k % 3.
std::shared_ptr<const Dataset> numbered(const std::vector<int>& numbers, bool with_files) {
  const auto count = static_cast<int64_t>(numbers.size());
  Tensor images({count, 2, 2, 3}, DType::kUInt8);
  ClassLabels labels{.names = {"a", "b", "c"}};
  DataFingerprint files;
  for (int64_t k = 0; k < count; ++k) {
    const int number = numbers[static_cast<size_t>(k)];
    for (int i = 0; i < 12; ++i)
      images.u8()[12 * k + i] = static_cast<uint8_t>(number >> (i % 2 * 8));
    labels.of_pictures.push_back(number % 3);
    const std::string name = std::to_string(number);
    files.files.push_back({.name = name + ".png", .bytes = 9, .hash = hash_hex(name)});
  }
  files.files.push_back({.name = "/labels", .bytes = 1, .hash = "x"});
  if (!with_files) return std::make_shared<Dataset>(images, "numbered", labels);
  return std::make_shared<Dataset>(images, "numbered", labels, files);
}

std::vector<int> up_to(int count) {
  std::vector<int> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// The numbers of the pictures.
std::vector<int> numbers_of(const Pictures& pictures) {
  std::vector<int> numbers;
  for (int64_t k = 0; k < pictures.size(); ++k) {
    const Tensor bytes = to_bytes(pictures.batch({{k}, {}}).images);
    numbers.push_back(bytes.u8()[0] + 256 * bytes.u8()[1]);
  }
  return numbers;
}

class HoldOut : public ::testing::TestWithParam<bool> {
 protected:
  static HeldOut split(const std::vector<int>& numbers, double share) {
    return hold_out(numbered(numbers, GetParam()), share);
  }
};
INSTANTIATE_TEST_SUITE_P(ByFilesAndByPixels, HoldOut, ::testing::Bool());

TEST_P(HoldOut, EachPictureIsOnOneSide) {
  const HeldOut two = split(up_to(2000), 0.1);
  const std::vector<int> learnt = numbers_of(*two.training), out = numbers_of(*two.held_out);
  EXPECT_TRUE(std::is_sorted(learnt.begin(), learnt.end()));
  EXPECT_TRUE(std::is_sorted(out.begin(), out.end()));
  std::vector<int> all = learnt;
  all.insert(all.end(), out.begin(), out.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, up_to(2000));
  // Three standard deviations of a binomial distribution.
  EXPECT_NEAR(static_cast<double>(out.size()), 200, 3 * std::sqrt(2000 * 0.1 * 0.9));
  EXPECT_EQ(two.hashes.size(), out.size());
}

TEST_P(HoldOut, StaysTheSameWhenPicturesAreAddedOrRemoved) {
  const std::vector<int> few = numbers_of(*split(up_to(100), 0.2).held_out);
  std::vector<int> more;
  for (int k = 299; k >= 0; k -= 1 + k % 2) more.push_back(k);
  const std::vector<int> of_more = numbers_of(*split(more, 0.2).held_out);
  const std::set<int> now(of_more.begin(), of_more.end());
  for (const int k : more) {
    if (k >= 100) continue;
    EXPECT_EQ(now.contains(k), std::find(few.begin(), few.end(), k) != few.end()) << k;
  }
  // A larger share holds out those of a smaller one, and more.
  const std::vector<int> larger = numbers_of(*split(up_to(100), 0.4).held_out);
  EXPECT_TRUE(std::includes(larger.begin(), larger.end(), few.begin(), few.end()));
  EXPECT_GT(larger.size(), few.size());
}

TEST_P(HoldOut, EqualPicturesAreOnTheSameSide) {
  std::vector<int> twice = up_to(50);
  for (const int k : up_to(50)) twice.push_back(k);
  const std::vector<int> out = numbers_of(*split(twice, 0.3).held_out);
  const std::set<int> distinct(out.begin(), out.end());
  EXPECT_EQ(out.size(), 2 * distinct.size());
}

TEST_P(HoldOut, LabelsAndConditionsFollow) {
  const HeldOut two = split(up_to(60), 0.3);
  for (const auto& side : {two.training, two.held_out}) {
    EXPECT_EQ(side->class_names(), (std::vector<std::string>{"a", "b", "c"}));
    const auto grey = with_condition(side, parse_condition("grey"));
    const std::vector<int> numbers = numbers_of(*side);
    for (int64_t k = 0; k < side->size(); ++k) {
      const auto label = numbers[static_cast<size_t>(k)] % 3;
      EXPECT_EQ(side->labels()[static_cast<size_t>(k)], label);
      const Batch batch = grey->batch({{k}, {1}});
      EXPECT_EQ(batch.labels.f32()[0], static_cast<float>(label));
      EXPECT_EQ(batch.condition.shape(), (Shape{1, 2, 2, 1}));
    }
  }
  EXPECT_THROW(two.held_out->batch({{two.held_out->size()}, {}}), Error);
  EXPECT_NE(two.held_out->fingerprint().hash(), two.training->fingerprint().hash());
}

TEST_P(HoldOut, TooFewPicturesAreRefused) {
  const auto message = [](double share) -> std::string {
    try {
      split({1}, share);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message(1e-9), HasSubstr("holds out none of 1 picture; give a larger share"));
  EXPECT_THAT(message(1 - 1e-9), HasSubstr("holds out all of 1 picture; give a smaller share"));
}

// Remembers for which pictures prefetch() was called last.
class Prefetched : public Pictures {
 public:
  explicit Prefetched(std::shared_ptr<const Pictures> pictures) : pictures_(std::move(pictures)) {}
  int64_t size() const override { return pictures_->size(); }
  ImageSize image_size() const override { return pictures_->image_size(); }
  int64_t channels() const override { return pictures_->channels(); }
  std::string name() const override { return pictures_->name(); }
  DataFingerprint fingerprint() const override { return pictures_->fingerprint(); }
  Batch batch(const BatchPlan& plan) const override { return pictures_->batch(plan); }
  void prefetch(std::span<const BatchPlan> next) const override {
    plans = {next.begin(), next.end()};
  }

  mutable std::vector<BatchPlan> plans;

 private:
  std::shared_ptr<const Pictures> pictures_;
};

TEST(ChosenPictures, ArePrefetchedFromAll) {
  const auto all = std::make_shared<const Prefetched>(numbered(up_to(10), true));
  const auto chosen = chosen_pictures(all, {2, 3, 5, 7});
  const std::vector<BatchPlan> plans = {{.indices = {3, 0}, .flips = {1, 0}},
                                        {.indices = {1}, .flips = {}, .crops = {9}}};
  chosen->prefetch(plans);
  EXPECT_EQ(all->plans, (std::vector<BatchPlan>{{.indices = {7, 2}, .flips = {1, 0}},
                                                {.indices = {3}, .flips = {}, .crops = {9}}}));
  EXPECT_THROW(chosen->prefetch(std::vector<BatchPlan>{{.indices = {4}, .flips = {}}}), Error);
}

TEST(FileOfEach, LeavesOutWhatIsNoPicture) {
  const auto pictures = numbered(up_to(9), true);
  const auto pairs =
      paired_pictures(pictures, numbered({20, 21, 22, 23, 24, 25, 26, 27, 28}, true));
  for (const std::shared_ptr<const Pictures>& each :
       {std::shared_ptr<const Pictures>(pictures), pairs}) {
    const std::vector<SourceFile> files = file_of_each(*each);
    ASSERT_EQ(files.size(), 9u);
    EXPECT_EQ(files[8].name, "8.png");
    EXPECT_EQ(file_of_each(*chosen_pictures(each, {7, 2}))[1].name, "2.png");
  }
  EXPECT_TRUE(file_of_each(*numbered(up_to(9), false)).empty());
  // Three entries that tell of all pictures.
  EXPECT_TRUE(file_of_each(*numbered(up_to(3), false)).empty());
  EXPECT_THROW(chosen_pictures(pictures, {9}), Error);
  EXPECT_THROW(chosen_pictures(pictures, {}), Error);
}

}  // namespace
}  // namespace ddpm
