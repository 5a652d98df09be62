#include "ddpm/data/held_out.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "ddpm/data/paired_pictures.h"

namespace ddpm {
namespace {

// Entries of a fingerprint that tell of all pictures together, such as "/labels".
bool tells_of_all(const SourceFile& entry) { return entry.name.starts_with('/'); }

class ChosenPictures : public Pictures {
 public:
  ChosenPictures(std::shared_ptr<const Pictures> all, std::vector<int64_t> indices)
      : all_(std::move(all)), indices_(std::move(indices)) {}

  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  ImageSize image_size() const override { return all_->image_size(); }
  int64_t channels() const override { return all_->channels(); }
  std::string name() const override { return all_->name(); }
  std::vector<std::string> class_names() const override { return all_->class_names(); }
  std::vector<int64_t> labels() const override { return chosen(all_->labels()); }
  int64_t condition_channels() const override { return all_->condition_channels(); }
  DataFingerprint fingerprint() const override;
  Batch batch(const BatchPlan& plan) const override { return all_->batch(of_all(plan)); }
  void prefetch(std::span<const BatchPlan> next) const override;
  int64_t bytes_to_come() const override { return all_->bytes_to_come(); }

 private:
  template <class T>
  std::vector<T> chosen(const std::vector<T>& of_all) const {
    std::vector<T> some;
    if (of_all.empty()) return some;
    for (const int64_t index : indices_) some.push_back(of_all[static_cast<size_t>(index)]);
    return some;
  }
  BatchPlan of_all(BatchPlan plan) const {
    for (int64_t& index : plan.indices) {
      if (index < 0 || index >= size())
        fail("dataset", fmt::format("there is no picture {} among {}", index, size()));
      index = indices_[static_cast<size_t>(index)];
    }
    return plan;
  }

  std::shared_ptr<const Pictures> all_;
  std::vector<int64_t> indices_;
};

// The files of these pictures if each has one, what else tells of all pictures, and the choice.
DataFingerprint ChosenPictures::fingerprint() const {
  DataFingerprint result{chosen(file_of_each(*all_))};
  const std::vector<SourceFile> entries = all_->fingerprint().files;
  const auto others = entries.begin() + (result.files.empty() ? 0 : all_->size());
  result.files.insert(result.files.end(), others, entries.end());
  const std::string_view bytes(reinterpret_cast<const char*>(indices_.data()),
                               indices_.size() * sizeof(int64_t));
  result.files.push_back({.name = "/chosen", .bytes = std::ssize(bytes), .hash = hash_hex(bytes)});
  return result;
}

void ChosenPictures::prefetch(std::span<const BatchPlan> next) const {
  std::vector<BatchPlan> plans;
  for (const BatchPlan& plan : next) plans.push_back(of_all(plan));
  all_->prefetch(plans);
}

uint64_t number_of(std::string_view bytes) {
  const std::string digits = hash_hex(bytes);
  uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + 16, number, 16);
  return number;
}

std::vector<uint64_t> hashes_of_pixels(const Pictures& pictures) {
  const ImageSize size = pictures.image_size();
  const int64_t values = size.height * size.width * pictures.channels();
  const int64_t block = std::clamp<int64_t>((int64_t{1} << 22) / values, 1, 256);
  std::vector<uint64_t> hashes;
  for (int64_t begin = 0; begin < pictures.size(); begin += block) {
    BatchPlan plan;
    plan.indices.resize(static_cast<size_t>(std::min(block, pictures.size() - begin)));
    std::iota(plan.indices.begin(), plan.indices.end(), begin);
    const Tensor images = pictures.batch(plan).images;  // [block, H, W, C]
    const size_t bytes = static_cast<size_t>(values) * sizeof(float);
    for (size_t k = 0; k < plan.indices.size(); ++k) {
      hashes.push_back(number_of({reinterpret_cast<const char*>(images.f32()) + k * bytes, bytes}));
    }
  }
  return hashes;
}

}  // namespace

std::vector<SourceFile> file_of_each(const Pictures& pictures) {
  std::vector<SourceFile> files = pictures.fingerprint().files;
  const int64_t count = pictures.size();
  // "pixels": the first entry of array_pictures().
  if (files.empty() || std::ssize(files) < count || files.front().name == "pixels") return {};
  const DataFingerprint others{{files.begin() + count, files.end()}};
  files.resize(static_cast<size_t>(count));
  const auto told = std::count_if(others.files.begin(), others.files.end(), tells_of_all);
  const bool known = std::ssize(others.files) == told + std::ssize(condition_files(others).files);
  const bool are_files = std::none_of(files.begin(), files.end(), [](const SourceFile& file) {
    return tells_of_all(file) || file.hash.empty();
  });
  return known && are_files ? files : std::vector<SourceFile>{};
}

std::vector<uint64_t> picture_hashes(const Pictures& pictures) {
  const std::vector<SourceFile> files = file_of_each(pictures);
  if (files.empty()) return hashes_of_pixels(pictures);
  std::vector<uint64_t> hashes;
  for (const SourceFile& file : files) hashes.push_back(number_of(file.hash));
  return hashes;
}

std::shared_ptr<const Pictures> chosen_pictures(std::shared_ptr<const Pictures> pictures,
                                                std::vector<int64_t> indices) {
  if (indices.empty()) fail("dataset", "no pictures were chosen");
  for (const int64_t index : indices) {
    if (index < 0 || index >= pictures->size())
      fail("dataset", fmt::format("there is no picture {} among {}", index, pictures->size()));
  }
  return std::make_shared<ChosenPictures>(std::move(pictures), std::move(indices));
}

HeldOut hold_out(std::shared_ptr<const Pictures> pictures, double share) {
  DDPM_CHECK(share > 0 && share < 1);
  const std::vector<uint64_t> hashes = picture_hashes(*pictures);
  HeldOut result;
  std::vector<int64_t> learnt, held_out;
  for (size_t k = 0; k < hashes.size(); ++k) {
    const bool out = static_cast<double>(hashes[k] >> 11) * 0x1p-53 < share;
    (out ? held_out : learnt).push_back(static_cast<int64_t>(k));
    if (out) result.hashes.push_back(hashes[k]);
  }
  if (learnt.empty() || held_out.empty()) {
    fail_usage("train", fmt::format("--validation {} holds out {} of {} picture{}; give {} share, "
                                    "or more pictures",
                                    share, held_out.empty() ? "none" : "all", hashes.size(),
                                    hashes.size() == 1 ? "" : "s",
                                    held_out.empty() ? "a larger" : "a smaller"));
  }
  result.training_numbers = learnt;
  result.training = chosen_pictures(pictures, std::move(learnt));
  result.held_out = chosen_pictures(std::move(pictures), std::move(held_out));
  return result;
}

}  // namespace ddpm
