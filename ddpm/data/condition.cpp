// Computed conditions go by way of bytes: what the network is trained on is then exactly what it
// can be shown later from a file.
#include "ddpm/data/condition.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/resize.h"

namespace ddpm {
namespace {

constexpr const char* kChoices = "give none, downscale:N (such as downscale:4), grey or a folder";
constexpr std::string_view kDownscalePrefix = "downscale:", kFolderPrefix = "folder:";

int64_t parse_factor(std::string_view text) {
  int64_t factor = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), factor);
  if (read.ec == std::errc() && read.ptr == text.data() + text.size() && factor >= 2 &&
      factor <= 1024)
    return factor;
  fail_usage("condition", fmt::format("'{}' is not how often sides can be shrunk; give "
                                      "downscale:N with N from 2 to 1024",
                                      text));
}

// The factors that divide both sides, for an error message.
std::string factors_of(ImageSize size) {
  std::string text;
  for (int64_t n = 2; n <= std::min(size.height, size.width) && n <= 32; ++n) {
    if (size.height % n == 0 && size.width % n == 0)
      text += fmt::format("{}{}", text.empty() ? "" : ", ", n);
  }
  return text.empty() ? "nothing divides both" : fmt::format("these do: {}", text);
}

// [H, W, 4] -> luminance and alpha [H, W, 2].
Tensor luminance_and_alpha(const Tensor& picture) {
  const int64_t pixels = picture.size(0) * picture.size(1);
  Tensor opaque({picture.size(0), picture.size(1), 3}, DType::kUInt8);
  for (int64_t i = 0; i < pixels; ++i) std::copy_n(picture.u8() + 4 * i, 3, opaque.u8() + 3 * i);
  const Tensor grey = convert_channels(opaque, 1, {});
  Tensor result({picture.size(0), picture.size(1), 2}, DType::kUInt8);
  for (int64_t i = 0; i < pixels; ++i) {
    result.u8()[2 * i] = grey.u8()[i];
    result.u8()[2 * i + 1] = picture.u8()[4 * i + 3];
  }
  return result;
}

// Picture n of [N, H, W, C].
Tensor picture_of(const Tensor& pictures, int64_t n) {
  return pictures.rows(n, n + 1).reshape({pictures.size(1), pictures.size(2), pictures.size(3)});
}

void put_picture(const Tensor& picture, int64_t n, Tensor& pictures) {
  Tensor row = pictures.rows(n, n + 1);
  if (picture.bytes() != row.bytes()) {
    fail("condition",
         fmt::format("a picture of shape {} does not fit into {}; do the pictures have "
                     "the channels that they say?",
                     picture.shape().str(), pictures.shape().str()));
  }
  std::memcpy(row.u8(), picture.u8(), static_cast<size_t>(picture.bytes()));
}

// one(picture) of each of [N, H, W, C], which has `channels`.
template <class One>
Tensor for_each_picture(const Tensor& pictures, int64_t channels, One one) {
  Tensor result({pictures.size(0), pictures.size(1), pictures.size(2), channels}, DType::kUInt8);
  parallel_for(pictures.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) put_picture(one(picture_of(pictures, n)), n, result);
  });
  return result;
}

class ConditionedPictures : public Pictures {
 public:
  ConditionedPictures(std::shared_ptr<const Pictures> pictures, ImageCondition condition)
      : pictures_(std::move(pictures)), condition_(std::move(condition)) {}

  int64_t size() const override { return pictures_->size(); }
  ImageSize image_size() const override { return pictures_->image_size(); }
  int64_t channels() const override { return pictures_->channels(); }
  std::string name() const override { return pictures_->name(); }
  std::vector<std::string> class_names() const override { return pictures_->class_names(); }
  std::vector<int64_t> labels() const override { return pictures_->labels(); }
  int64_t condition_channels() const override { return channels_of(condition_, channels()); }
  DataFingerprint fingerprint() const override { return pictures_->fingerprint(); }

  Batch batch(const BatchPlan& plan) const override {
    Batch batch = pictures_->batch(plan);
    batch.condition = to_floats(
        for_each_picture(to_bytes(batch.images), condition_channels(),
                         [&](const Tensor& one) { return condition_image(condition_, one); }));
    return batch;
  }
  void prefetch(std::span<const BatchPlan> next) const override { pictures_->prefetch(next); }
  int64_t bytes_to_come() const override { return pictures_->bytes_to_come(); }

 private:
  std::shared_ptr<const Pictures> pictures_;
  ImageCondition condition_;
};

}  // namespace

std::string ImageCondition::name() const {
  switch (kind) {
    case Kind::kNone:
      return "none";
    case Kind::kDownscale:
      return fmt::format("downscale:{}", factor);
    case Kind::kGrey:
      return "grey";
    case Kind::kPairs:
      return "pairs";
  }
  fail("condition", "there is no such kind");
}

ImageCondition parse_condition(std::string_view text) {
  using Kind = ImageCondition::Kind;
  if (text == "none") return {};
  if (text == "grey" || text == "gray") return {.kind = Kind::kGrey};
  if (text.starts_with(kDownscalePrefix))
    return {.kind = Kind::kDownscale, .factor = parse_factor(text.substr(kDownscalePrefix.size()))};
  if (text.starts_with(kFolderPrefix)) text.remove_prefix(kFolderPrefix.size());
  if (text.empty() || text == "downscale")
    fail_usage("condition", fmt::format("'{}' is no condition; {}", text, kChoices));
  return {.kind = Kind::kPairs, .folder = std::string(text)};
}

ImageCondition condition_of_model(std::string_view name) {
  if (name == "pairs") return {.kind = ImageCondition::Kind::kPairs};
  const ImageCondition condition = parse_condition(name);
  if (condition.kind != ImageCondition::Kind::kPairs) return condition;
  fail_usage("condition",
             fmt::format("'{}' is no condition of a model; none, downscale:N, grey and "
                         "pairs are",
                         name));
}

void check_condition(const ImageCondition& condition, ImageSize size, int64_t channels) {
  const int64_t n = condition.factor;
  if (condition.kind == ImageCondition::Kind::kDownscale &&
      (size.height % n != 0 || size.width % n != 0)) {
    fail_usage("condition",
               fmt::format("downscale:{} does not divide the sides of pictures of {}x{}; {}", n,
                           size.height, size.width, factors_of(size)));
  }
  if (condition.kind == ImageCondition::Kind::kGrey && channels == 1) {
    fail_usage("condition",
               "the pictures are grey, so grey shows them whole; with --channels 3 or coloured "
               "pictures there are colours to learn");
  }
}

int64_t channels_of(const ImageCondition& condition, int64_t picture_channels) {
  DDPM_CHECK(condition.computed());
  if (condition.kind == ImageCondition::Kind::kDownscale) return picture_channels;
  return picture_channels == 4 ? 2 : 1;
}

Tensor condition_image(const ImageCondition& condition, const Tensor& picture) {
  const ImageSize size{picture.size(0), picture.size(1)};
  check_condition(condition, size, picture.size(2));
  if (condition.kind == ImageCondition::Kind::kGrey)
    return picture.size(2) == 4 ? luminance_and_alpha(picture) : convert_channels(picture, 1, {});
  DDPM_CHECK(condition.kind == ImageCondition::Kind::kDownscale);
  return enlarged_condition(condition, shrink_image(picture, condition.factor));
}

Tensor enlarged_condition(const ImageCondition& condition, const Tensor& small) {
  return fit_image(small, {small.size(0) * condition.factor, small.size(1) * condition.factor});
}

std::shared_ptr<const Pictures> with_condition(std::shared_ptr<const Pictures> pictures,
                                               const ImageCondition& condition) {
  check_condition(condition, pictures->image_size(), pictures->channels());
  if (pictures->condition_channels() > 0) {
    fail_usage("condition", fmt::format("the pictures have conditions of their own, so {} cannot "
                                        "be added; leave it out",
                                        condition.name()));
  }
  return std::make_shared<ConditionedPictures>(std::move(pictures), condition);
}

Tensor viewable_condition(const Tensor& conditions) {
  const int64_t channels = conditions.size(3);
  if (channels == 1 || channels == 3 || channels == 4) return conditions;
  const int64_t shown = channels == 2 ? 4 : 1;
  return for_each_picture(conditions, shown, [&](const Tensor& one) {
    Tensor picture({one.size(0), one.size(1), shown}, DType::kUInt8);
    const uint8_t* in = one.u8();
    uint8_t* out = picture.u8();
    for (int64_t i = one.size(0) * one.size(1); i > 0; --i, in += channels) {
      out = std::fill_n(out, shown == 4 ? 3 : 1, in[0]);
      if (shown == 4) *out++ = in[1];
    }
    return picture;
  });
}

Tensor beside_conditions(const Tensor& conditions, const Tensor& pictures) {
  const Tensor shown = viewable_condition(conditions);
  const int64_t groups = shown.size(0), each = pictures.size(0) / groups;
  const int64_t channels = std::max(shown.size(3), pictures.size(3));
  DDPM_CHECK(groups > 0 && each * groups == pictures.size(0) && shown.size(1) == pictures.size(1) &&
             shown.size(2) == pictures.size(2));
  Tensor rows({groups * (each + 1), pictures.size(1), pictures.size(2), channels}, DType::kUInt8);
  const Colour white{255, 255, 255};
  for (int64_t i = 0; i < groups; ++i) {
    const int64_t first = i * (each + 1);
    put_picture(convert_channels(picture_of(shown, i), channels, white), first, rows);
    for (int64_t k = 0; k < each; ++k) {
      put_picture(convert_channels(picture_of(pictures, k * groups + i), channels, white),
                  first + 1 + k, rows);
    }
  }
  return rows;
}

int64_t columns_of_groups(int64_t groups, int64_t pictures_of_each) {
  const double square =
      std::sqrt(static_cast<double>(groups) / static_cast<double>(pictures_of_each));
  return std::max<int64_t>(1, std::llround(square)) * pictures_of_each;
}

}  // namespace ddpm
