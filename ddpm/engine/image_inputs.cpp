#include "ddpm/engine/image_inputs.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "ddpm/base/error.h"
#include "ddpm/engine/finite.h"
#include "ddpm/engine/guide_check.h"

namespace ddpm {
namespace {

void check_only(const ImagesAsked& asked) {
  const int64_t total = asked.count * std::max<int64_t>(1, std::ssize(asked.labels));
  int64_t last = -1;
  for (const int64_t k : asked.only) {
    if (k <= last || k >= total) {
      fail_usage("sample", fmt::format("image {} is asked for after image {}; the images to draw "
                                       "must ascend from 0 to at most {}",
                                       k, last, total - 1));
    }
    last = k;
  }
}

void check_classes(const ImagesAsked& asked, int64_t classes) {
  const Guidance& guidance = asked.guidance;
  const bool by_class = asked.guide == nullptr &&
                        (guidance.scale != 1 || guidance.rescale != 0 || !guidance.everywhere());
  if (classes == 0 && (by_class || !asked.labels.empty())) {
    fail_usage("sample",
               "the model was trained without classes, so there is no class to draw and no "
               "guidance by classes; train with --classes or --labels, or guide it by an earlier "
               "or smaller model with --guide");
  }
  for (const int64_t label : asked.labels) {
    if (label >= -1 && label < classes) continue;
    fail_usage("sample", fmt::format("there is no class {}; there are 0 to {}, and -1 is no class",
                                     label, classes - 1));
  }
}

void check_condition(const ModelConfig& config, const ImagesAsked& asked, int64_t height,
                     int64_t width) {
  const int64_t channels = config.network.condition_channels();
  const Tensor& condition = asked.condition;
  if (channels == 0) {
    if (!condition.defined()) return;
    fail_usage("sample", "the model takes no condition, but one is given");
  }
  const Shape wanted{asked.count, height, width, channels};
  if (!condition.defined()) {
    fail_usage("sample", fmt::format("the model draws from a condition ({}), and none is given; "
                                     "{} is needed",
                                     config.condition, wanted.str()));
  }
  const Shape& shape = condition.shape();
  const bool repeats = shape.rank() == 4 && shape[0] > 0 && asked.count % shape[0] == 0;
  if (!repeats || shape != Shape{shape[0], height, width, channels}) {
    fail_usage("sample", fmt::format("the condition is {}; {} is needed, or {} for all, or as many "
                                     "as divide {}",
                                     shape.str(), wanted.str(),
                                     Shape{1, height, width, channels}.str(), asked.count));
  }
  if (condition.dtype() != DType::kFloat32) {
    fail_usage("sample",
               fmt::format("the condition is of type {}; it must be float32, from -1 to 1",
                           name_of(condition.dtype())));
  }
  if (const auto value = find_not_finite(condition)) {
    fail_usage("sample",
               fmt::format("the condition contains {}; all numbers must be finite", *value));
  }
}

int64_t rows_for(int64_t count, Labels labels) {
  return labels == Labels::kBoth ? 2 * count : count;
}

Tensor labels_of(const ImagesAsked& asked, int64_t classes, int64_t begin, int64_t count,
                 Labels wanted) {
  Tensor labels = Tensor::full({rows_for(count, wanted)}, -1);
  if (wanted == Labels::kNone) return labels;
  for (int64_t k = 0; k < count; ++k)
    labels.f32()[k] = static_cast<float>(place_of(asked, classes, begin + k).label);
  return labels;
}

Tensor condition_of(const ImagesAsked& asked, int64_t begin, int64_t count, Labels labels) {
  const Tensor& condition = asked.condition;
  const int64_t rows = rows_for(count, labels);
  Tensor all({rows, condition.size(1), condition.size(2), condition.size(3)});
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t image = place_of(asked, 0, begin + i % count).image;
    const int64_t k = image % asked.count % condition.size(0);
    Tensor row = all.rows(i, i + 1);
    row.copy_from(condition.rows(k, k + 1));
  }
  return all;
}

}  // namespace

ImagePlace place_of(const ImagesAsked& asked, int64_t classes, int64_t k) {
  const int64_t image = asked.only.empty() ? k : asked.only[static_cast<size_t>(k)];
  if (asked.labels.empty()) {
    const int64_t index = asked.first + image;
    return {image, index, classes > 0 ? index % classes : -1};
  }
  return {image, asked.first + image % asked.count,
          asked.labels[static_cast<size_t>(image / asked.count)]};
}

int64_t images_drawn(const ImagesAsked& asked) {
  if (!asked.only.empty()) return std::ssize(asked.only);
  return asked.count * std::max<int64_t>(1, std::ssize(asked.labels));
}

std::vector<int64_t> image_numbers(const ImagesAsked& asked, int64_t begin, int64_t count) {
  std::vector<int64_t> numbers;
  for (int64_t k = begin; k < begin + count; ++k) numbers.push_back(place_of(asked, 0, k).index);
  return numbers;
}

void check_image_inputs(const ModelConfig& config, const ImagesAsked& asked, int64_t height,
                        int64_t width) {
  check_only(asked);
  check_classes(asked, config.network.classes());
  check_condition(config, asked, height, width);
  if (asked.guide != nullptr) check_guide(config, *asked.guide, height, width);
}

ImageInputs image_inputs(const ModelConfig& config, const ImagesAsked& asked, int64_t begin,
                         int64_t count, Labels labels, Device device) {
  ImageInputs inputs;
  const int64_t classes = config.network.classes();
  if (classes > 0) inputs.labels = labels_of(asked, classes, begin, count, labels).to(device);
  if (config.network.condition_channels() > 0)
    inputs.condition = condition_of(asked, begin, count, labels).to(device);
  return inputs;
}

}  // namespace ddpm
