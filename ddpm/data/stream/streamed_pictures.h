// Pictures that stay in their files until a batch needs them. Private to data.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/data/stream/decode_ahead.h"

namespace ddpm {

// What a source of pictures says about them, and how one is decoded.
struct PictureStream {
  int64_t count = 0;
  ImageSize size;
  int64_t channels = 0;
  std::string name;
  ClassLabels labels;
  DataFingerprint fingerprint;
  // Picture i as bytes [H, W, channels]; it may be larger than `size`. Several threads call it.
  // Throws Error if it cannot be read or has changed.
  std::function<Tensor(int64_t i)> load;
  // Keep every picture in memory once it was decoded. For pictures that are not larger than `size`.
  bool keep = false;
};

// The batches that prefetch() names are decoded by as many threads as num_threads() says. They take
// at most kPrefetchBytes, or one batch if that is more.
class StreamedPictures : public Pictures {
 public:
  static constexpr int64_t kPrefetchBytes = int64_t{1} << 26;

  // Throws Error if the labels do not fit the pictures.
  explicit StreamedPictures(PictureStream stream);
  ~StreamedPictures() override;

  int64_t size() const override { return stream_.count; }
  ImageSize image_size() const override { return stream_.size; }
  int64_t channels() const override { return stream_.channels; }
  std::string name() const override { return stream_.name; }
  std::vector<std::string> class_names() const override { return stream_.labels.names; }
  std::vector<int64_t> labels() const override { return stream_.labels.of_pictures; }
  DataFingerprint fingerprint() const override { return stream_.fingerprint; }
  Batch batch(const BatchPlan& plan) const override;
  void prefetch(std::span<const BatchPlan> next) const override;
  int64_t bytes_to_come() const override;

 private:
  class Kept;

  int64_t picture_bytes() const {
    return stream_.size.height * stream_.size.width * stream_.channels;
  }
  void decode(const BatchPlan& plan, int64_t k, uint8_t* out) const;

  PictureStream stream_;
  // Null if decoded pictures are not kept.
  std::unique_ptr<Kept> kept_;
  // The last member, so that its threads end first.
  std::unique_ptr<DecodeAhead> ahead_;
};

}  // namespace ddpm
