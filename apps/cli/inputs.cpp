#include "apps/cli/inputs.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <numeric>

#include "apps/cli/outputs.h"
#include "ddpm/base/error.h"
#include "ddpm/data/pixels.h"
#include "ddpm/data/resize.h"

namespace ddpm::cli {
namespace {

std::string text_of(ImageSize size) { return fmt::format("{}x{}", size.height, size.width); }

ImageCondition condition_of(const ModelConfig& config) {
  const ImageCondition condition = condition_of_model(config.condition);
  if (condition.kind == ImageCondition::Kind::kNone) {
    fail_usage(
        "sample",
        "the model draws from noise alone and takes no --input; a model that was trained with "
        "--condition does");
  }
  const int64_t channels = config.network.condition_channels();
  if (!condition.computed() && channels != 1 && channels != 3 && channels != 4) {
    fail_usage(
        "sample",
        fmt::format("the model's condition has {} channels; pictures have 1, 3 or 4", channels));
  }
  return condition;
}

// The nearest side that the network takes.
int64_t nearest_side(int64_t side, int64_t divisor) {
  return std::max(divisor, (side + divisor / 2) / divisor * divisor);
}

bool is(const Tensor& picture, ImageSize size) {
  return ImageSize{picture.size(0), picture.size(1)} == size;
}

}  // namespace

Inputs::Inputs(const std::string& path, const ModelConfig& config, ImageSize size)
    : config_(config), condition_(condition_of(config)), asked_(size), pictures_(path) {
  if (asked_ != ImageSize{}) check_asked();
  std::map<std::string, std::string> known;
  for (const std::string& name : pictures_.names()) {
    stems_.push_back(std::filesystem::path(name).replace_extension().string());
    const auto [other, added] = known.emplace(stems_.back(), name);
    if (added) continue;
    fail_usage("sample", fmt::format("{} and {} differ in their extension alone, so that their "
                                     "outputs would have one name; rename one of them",
                                     other->second, name));
  }
  size_ = size_for(0, pictures_.load(0));
}

int64_t Inputs::side_step() const {
  const int64_t divisor = config_.network.side_divisor();
  return std::lcm(divisor, std::max<int64_t>(condition_.factor, 1));
}

void Inputs::check_asked() const {
  const int64_t step = side_step();
  if (asked_.height % step == 0 && asked_.width % step == 0) return;
  fail_usage(
      "sample",
      fmt::format("--size is {}, but the model's network and its condition ({}) need sides that "
                  "are multiples of {}; {} would work",
                  text_of(asked_), config_.condition, step,
                  text_of({nearest_side(asked_.height, step), nearest_side(asked_.width, step)})));
}

ImageSize Inputs::size_for(int64_t i, const Tensor& picture) const {
  if (asked_ != ImageSize{}) return asked_;
  const int64_t times = std::max<int64_t>(condition_.factor, 1);
  const ImageSize size{picture.size(0) * times, picture.size(1) * times};
  try {
    config_.network.check_image(size.height, size.width);
  } catch (const UsageError&) {
    const int64_t step = side_step();
    fail_usage(
        "sample",
        fmt::format("{} has {}x{} pixels, which gives an output of {}; the network takes "
                    "sides that are multiples of {}. --size {} makes it fit",
                    pictures_.names()[static_cast<size_t>(i)], picture.size(0), picture.size(1),
                    text_of(size), config_.network.side_divisor(),
                    text_of({nearest_side(size.height, step), nearest_side(size.width, step)})));
  }
  return size;
}

int64_t Inputs::viewable_channels() const {
  const int64_t channels = config_.network.condition_channels();
  return channels == 2 ? 4 : channels;  // of more than 4 there are no pictures
}

Tensor Inputs::condition(const Tensor& picture) const {
  const int64_t channels = config_.network.channels();
  Fitting fitting(size_);
  fitting.fit = parse_fit(config_.fit);
  const Colour background = parse_colour(config_.background);
  fitting.background = background;
  switch (condition_.kind) {
    case ImageCondition::Kind::kDownscale: {
      const Tensor whole = convert_channels(picture, channels, background);
      const int64_t n = condition_.factor;
      if (is(whole, {size_.height / n, size_.width / n}))
        return enlarged_condition(condition_, whole);
      return condition_image(condition_, fit_image(whole, fitting));
    }
    case ImageCondition::Kind::kGrey:
      return condition_image(condition_,
                             fit_image(convert_channels(picture, channels, background), fitting));
    default:
      return fit_image(convert_channels(picture, config_.network.condition_channels(), background),
                       fitting);
  }
}

Tensor Inputs::conditions() const {
  Tensor all({count(), size_.height, size_.width, config_.network.condition_channels()},
             DType::kUInt8);
  for (int64_t i = 0; i < count(); ++i) {
    const Tensor picture = pictures_.load(i);
    if (const ImageSize other = size_for(i, picture); other != size_) {
      fail_usage("sample", fmt::format("{} gives an output of {} and {} one of {}; with --size {} "
                                       "all are scaled and cut to one size",
                                       pictures_.names().front(), text_of(size_),
                                       pictures_.names()[static_cast<size_t>(i)], text_of(other),
                                       text_of(size_)));
    }
    const Tensor shown = condition(picture);
    std::memcpy(all.rows(i, i + 1).u8(), shown.u8(), static_cast<size_t>(shown.bytes()));
  }
  return all;
}

std::vector<std::string> Inputs::output_names(int64_t each) const {
  std::vector<std::string> names;
  const size_t digits = std::to_string(each - 1).size();
  for (int64_t k = 0; k < each; ++k) {
    for (const std::string& stem : stems_)
      names.push_back(each == 1 ? stem : fmt::format("{}-{:0{}}", stem, k, digits));
  }
  return names;
}

void Inputs::refuse_to_overwrite(const std::string& file) const {
  for (const std::string& name : pictures_.names()) {
    if (!same_file(file, (std::filesystem::path(folder()) / name).string())) continue;
    fail_usage("sample", fmt::format("{} is one of the inputs; choose another name", file));
  }
}

}  // namespace ddpm::cli
