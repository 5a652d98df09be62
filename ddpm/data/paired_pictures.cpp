#include "ddpm/data/paired_pictures.h"

#include <fmt/core.h>

#include <numeric>
#include <string>
#include <utility>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

constexpr std::string_view kPrefix = "condition:";

class PairedPictures : public Pictures {
 public:
  PairedPictures(std::shared_ptr<const Pictures> pictures,
                 std::shared_ptr<const Pictures> conditions, Pairing pairing,
                 DataFingerprint fingerprint)
      : pictures_(std::move(pictures)),
        conditions_(std::move(conditions)),
        pairing_(std::move(pairing)),
        fingerprint_(std::move(fingerprint)) {}

  int64_t size() const override { return static_cast<int64_t>(pairing_.of_pictures.size()); }
  ImageSize image_size() const override { return pictures_->image_size(); }
  int64_t channels() const override { return pictures_->channels(); }
  std::string name() const override { return pictures_->name(); }
  std::vector<std::string> class_names() const override { return pictures_->class_names(); }
  std::vector<int64_t> labels() const override {
    const std::vector<int64_t> all = pictures_->labels();
    std::vector<int64_t> labels;
    if (all.empty()) return labels;
    for (const int64_t index : pairing_.of_pictures)
      labels.push_back(all[static_cast<size_t>(index)]);
    return labels;
  }
  int64_t condition_channels() const override { return conditions_->channels(); }
  DataFingerprint fingerprint() const override { return fingerprint_; }

  Batch batch(const BatchPlan& plan) const override {
    Batch batch = pictures_->batch(chosen(plan, pairing_.of_pictures));
    batch.condition = conditions_->batch(chosen(plan, pairing_.of_conditions)).images;
    return batch;
  }
  int64_t bytes_to_come() const override {
    return pictures_->bytes_to_come() + conditions_->bytes_to_come();
  }
  void prefetch(std::span<const BatchPlan> next) const override {
    std::vector<BatchPlan> pictures, conditions;
    for (const BatchPlan& plan : next) {
      pictures.push_back(chosen(plan, pairing_.of_pictures));
      conditions.push_back(chosen(plan, pairing_.of_conditions));
    }
    pictures_->prefetch(pictures);
    conditions_->prefetch(conditions);
  }

 private:
  static BatchPlan chosen(BatchPlan plan, const std::vector<int64_t>& of) {
    for (int64_t& index : plan.indices) {
      if (index < 0 || index >= static_cast<int64_t>(of.size()))
        fail("dataset", fmt::format("there is no picture {} among {}", index, of.size()));
      index = of[static_cast<size_t>(index)];
    }
    return plan;
  }

  std::shared_ptr<const Pictures> pictures_, conditions_;
  Pairing pairing_;
  DataFingerprint fingerprint_;
};

}  // namespace

std::string condition_file_name(const std::string& name) { return std::string(kPrefix) + name; }

std::optional<std::string> name_of_condition(std::string_view file_name) {
  if (!file_name.starts_with(kPrefix)) return std::nullopt;
  return std::string(file_name.substr(kPrefix.size()));
}

DataFingerprint condition_files(const DataFingerprint& of_pairs) {
  DataFingerprint found;
  for (const SourceFile& file : of_pairs.files) {
    const std::optional<std::string> name = name_of_condition(file.name);
    if (!name) continue;
    found.files.push_back(file);
    found.files.back().name = *name;
  }
  return found;
}

std::shared_ptr<const Pictures> paired_pictures(std::shared_ptr<const Pictures> pictures,
                                                std::shared_ptr<const Pictures> conditions,
                                                Pairing pairing, DataFingerprint fingerprint) {
  DDPM_CHECK(pictures && conditions && pairing.of_pictures.size() == pairing.of_conditions.size());
  const ImageSize size = pictures->image_size(), other = conditions->image_size();
  if (size != other) {
    fail_usage("condition", fmt::format("the conditions have {}x{} pixels and the pictures {}x{}; "
                                        "both must have the same",
                                        other.height, other.width, size.height, size.width));
  }
  if (pictures->condition_channels() > 0)
    fail_usage("condition", "the pictures have conditions already; give them without");
  return std::make_shared<PairedPictures>(std::move(pictures), std::move(conditions),
                                          std::move(pairing), std::move(fingerprint));
}

std::shared_ptr<const Pictures> paired_pictures(std::shared_ptr<const Pictures> pictures,
                                                std::shared_ptr<const Pictures> conditions) {
  if (!pictures || !conditions) fail_usage("condition", "there are no pictures, or no conditions");
  if (pictures->size() != conditions->size()) {
    fail_usage("condition",
               fmt::format("there are {} conditions for {} pictures; each picture needs "
                           "one",
                           conditions->size(), pictures->size()));
  }
  Pairing same;
  same.of_pictures.resize(static_cast<size_t>(pictures->size()));
  std::iota(same.of_pictures.begin(), same.of_pictures.end(), int64_t{0});
  same.of_conditions = same.of_pictures;
  DataFingerprint both = pictures->fingerprint();
  for (SourceFile file : conditions->fingerprint().files) {
    file.name = condition_file_name(file.name);
    both.files.push_back(std::move(file));
  }
  return paired_pictures(std::move(pictures), std::move(conditions), std::move(same),
                         std::move(both));
}

}  // namespace ddpm
