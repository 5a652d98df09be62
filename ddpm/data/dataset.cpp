#include "ddpm/data/dataset.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "ddpm/base/threads.h"

namespace ddpm {
namespace {

float to_float(uint8_t byte) { return static_cast<float>(byte) / 127.5f - 1.0f; }
float to_float(float value) { return value; }

// Copies a picture of `height` rows to floats in [-1, 1], mirrored left to right if asked.
template <class T>
void copy_picture(const T* in, int64_t height, int64_t width, int64_t channels, bool mirrored,
                  float* out) {
  const auto floating = [](T value) { return to_float(value); };
  const int64_t row = width * channels;
  if (!mirrored) {
    std::transform(in, in + height * row, out, floating);
    return;
  }
  for (int64_t y = 0; y < height; ++y, in += row, out += row) {
    for (int64_t x = 0; x < width; ++x) {
      const T* pixel = in + (width - 1 - x) * channels;
      std::transform(pixel, pixel + channels, out + x * channels, floating);
    }
  }
}

// Throws Error unless each of `count` pictures has a label and each label has a name. Classes
// without names get their numbers as names.
ClassLabels checked(ClassLabels labels, int64_t count) {
  const std::vector<int64_t>& all = labels.of_pictures;
  if (all.empty()) {
    if (!labels.names.empty())
      fail("dataset", fmt::format("{} classes but no labels", labels.names.size()));
    return labels;
  }
  if (static_cast<int64_t>(all.size()) != count)
    fail("dataset", fmt::format("{} labels for {} pictures", all.size(), count));
  const auto [lowest, highest] = std::minmax_element(all.begin(), all.end());
  constexpr int64_t kMostClasses = int64_t{1} << 20;
  const int64_t classes =
      labels.names.empty() ? kMostClasses : static_cast<int64_t>(labels.names.size());
  for (const int64_t label : {*lowest, *highest}) {
    if (label < -1 || label >= classes) {
      fail("dataset", fmt::format("there is a label {}; with {} classes, labels lie between 0 and "
                                  "{}, and -1 means no class",
                                  label, classes, classes - 1));
    }
  }
  if (labels.names.empty()) {
    for (int64_t label = 0; label <= *highest; ++label)
      labels.names.push_back(std::to_string(label));
  }
  return labels;
}

template <class T>
std::shared_ptr<const Pictures> from_array(std::span<const T> pixels, Shape shape, DType dtype,
                                           ClassLabels labels, std::string name) {
  if (static_cast<int64_t>(pixels.size()) != shape.elements()) {
    fail("dataset", fmt::format("{} values do not fill the shape {}", pixels.size(), shape.str()));
  }
  Tensor images(shape, dtype);
  void* to = dtype == DType::kUInt8 ? static_cast<void*>(images.u8()) : images.f32();
  if (!pixels.empty()) std::memcpy(to, pixels.data(), pixels.size_bytes());
  return std::make_shared<Dataset>(images, std::move(name), std::move(labels));
}

}  // namespace

Dataset::Dataset(Tensor images, std::string name, ClassLabels labels,
                 std::optional<DataFingerprint> fingerprint)
    : images_(std::move(images)), name_(std::move(name)), fingerprint_(std::move(fingerprint)) {
  const DType dtype = images_.dtype();
  const bool good = images_.defined() && (dtype == DType::kUInt8 || dtype == DType::kFloat32) &&
                    images_.shape().rank() == 4 && images_.elements() > 0 &&
                    (channels() == 1 || channels() == 3 || channels() == 4);
  if (!good) {
    fail("dataset", fmt::format("needs bytes or floats [N, H, W, 1, 3 or 4] with N >= 1, not {} {}",
                                name_of(dtype), images_.shape().str()));
  }
  labels_ = std::make_shared<const ClassLabels>(checked(std::move(labels), size()));
}

DataFingerprint Dataset::fingerprint() const {
  if (fingerprint_) return *fingerprint_;
  const auto entry = [](const char* what, const void* data, size_t bytes) {
    const auto* text = static_cast<const char*>(data);
    return SourceFile{.name = what,
                      .bytes = static_cast<int64_t>(bytes),
                      .hash = hash_hex(std::string_view(text, bytes))};
  };
  const void* pixels =
      images_.dtype() == DType::kUInt8 ? static_cast<const void*>(images_.u8()) : images_.f32();
  DataFingerprint result{{entry("pixels", pixels, static_cast<size_t>(images_.bytes()))}};
  if (labels_->of_pictures.empty()) return result;
  result.files.push_back(
      entry("labels", labels_->of_pictures.data(), labels_->of_pictures.size() * sizeof(int64_t)));
  std::string names;
  for (const std::string& name : labels_->names) names += name + '\n';
  result.files.push_back(entry("classes", names.data(), names.size()));
  return result;
}

Batch Dataset::batch(const BatchPlan& plan) const {
  check_plan(plan, size());
  const auto count = static_cast<int64_t>(plan.indices.size());
  const ImageSize side = image_size();
  const int64_t picture = side.height * side.width * channels();
  Batch batch(Tensor({count, side.height, side.width, channels()}));
  parallel_for(count, 4, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const bool mirrored = !plan.flips.empty() && plan.flips[k] != 0;
      const int64_t first = plan.indices[k] * picture;
      float* out = batch.images.f32() + k * picture;
      if (images_.dtype() == DType::kUInt8) {
        copy_picture(images_.u8() + first, side.height, side.width, channels(), mirrored, out);
      } else {
        copy_picture(images_.f32() + first, side.height, side.width, channels(), mirrored, out);
      }
    }
  });
  batch.labels = labels_of(*labels_, plan);
  return batch;
}

Batch Batch::rows(int64_t begin, int64_t end) const {
  const auto rows = [&](const Tensor& all) {
    return all.defined() ? all.rows(begin, end) : Tensor();
  };
  Batch part(rows(images));
  part.labels = rows(labels);
  part.condition = rows(condition);
  part.augment = rows(augment);
  return part;
}

void check_plan(const BatchPlan& plan, int64_t pictures) {
  if (!plan.flips.empty() && plan.flips.size() != plan.indices.size()) {
    fail("dataset",
         fmt::format("{} flips for {} pictures", plan.flips.size(), plan.indices.size()));
  }
  if (!plan.crops.empty() && plan.crops.size() != plan.indices.size()) {
    fail("dataset",
         fmt::format("{} crops for {} pictures", plan.crops.size(), plan.indices.size()));
  }
  for (const int64_t index : plan.indices) {
    if (index < 0 || index >= pictures)
      fail("dataset", fmt::format("there is no picture {} among {}", index, pictures));
  }
}

Tensor labels_of(const ClassLabels& labels, const BatchPlan& plan) {
  if (labels.of_pictures.empty()) return {};
  Tensor numbers({static_cast<int64_t>(plan.indices.size())});
  std::transform(plan.indices.begin(), plan.indices.end(), numbers.f32(), [&](int64_t index) {
    return static_cast<float>(labels.of_pictures[static_cast<size_t>(index)]);
  });
  return numbers;
}

std::shared_ptr<const Pictures> array_pictures(std::span<const uint8_t> pixels, Shape shape,
                                               ClassLabels labels, std::string name) {
  return from_array(pixels, shape, DType::kUInt8, std::move(labels), std::move(name));
}

std::shared_ptr<const Pictures> array_pictures(std::span<const float> pixels, Shape shape,
                                               ClassLabels labels, std::string name) {
  for (const float value : pixels) {
    if (!(value >= -1 && value <= 1))
      fail("dataset", fmt::format("a pixel is {}; floats must lie between -1 and 1", value));
  }
  return from_array(pixels, shape, DType::kFloat32, std::move(labels), std::move(name));
}

std::vector<int64_t> class_counts(const Pictures& pictures) {
  const std::vector<int64_t> labels = pictures.labels();
  if (labels.empty()) return {};
  std::vector<int64_t> counts(pictures.class_names().size());
  for (const int64_t label : labels) {
    if (label >= static_cast<int64_t>(counts.size()))
      fail("dataset", fmt::format("there is a label {} but {} classes", label, counts.size()));
    if (label >= 0) ++counts[static_cast<size_t>(label)];
  }
  return counts;
}

}  // namespace ddpm
