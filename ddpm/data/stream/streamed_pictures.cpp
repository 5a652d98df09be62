// A batch is made of its decoded bytes by Dataset, so that it has the same bits as one that was in
// memory all the time.
#include "ddpm/data/stream/streamed_pictures.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/dataset.h"
#include "ddpm/data/resize.h"

namespace ddpm {

// The decoded pictures of a data set that fits in memory. Address space is taken for all at once,
// memory for each picture when it is decoded, so that a training can start at once.
class StreamedPictures::Kept {
 public:
  Kept(int64_t count, int64_t picture_bytes)
      : bytes_({count, picture_bytes}, DType::kUInt8), state_(static_cast<size_t>(count)) {}

  // Of the pictures that are not decoded yet.
  int64_t bytes_to_come() const {
    const auto missing = std::count_if(state_.begin(), state_.end(), [](const auto& state) {
      return state.load(std::memory_order_relaxed) == kNone;
    });
    return missing * bytes_.size(1);
  }
  bool copy(int64_t i, uint8_t* out) const {
    if (state_[static_cast<size_t>(i)].load(std::memory_order_acquire) != kWhole) return false;
    std::memcpy(out, bytes_.u8() + i * bytes_.size(1), static_cast<size_t>(bytes_.size(1)));
    return true;
  }
  void put(int64_t i, const uint8_t* picture) {
    // Another thread may have decoded the same picture.
    char none = kNone;
    if (!state_[static_cast<size_t>(i)].compare_exchange_strong(none, kBegun)) return;
    std::memcpy(bytes_.u8() + i * bytes_.size(1), picture, static_cast<size_t>(bytes_.size(1)));
    state_[static_cast<size_t>(i)].store(kWhole, std::memory_order_release);
  }

 private:
  static constexpr char kNone = 0, kBegun = 1, kWhole = 2;
  Tensor bytes_;  // [N, picture_bytes]
  std::vector<std::atomic<char>> state_;
};

StreamedPictures::StreamedPictures(PictureStream stream) : stream_(std::move(stream)) {
  DDPM_CHECK(stream_.count > 0 && stream_.load);
  if (stream_.keep) kept_ = std::make_unique<Kept>(stream_.count, picture_bytes());
  ahead_ = std::make_unique<DecodeAhead>(
      picture_bytes(),
      [this](const BatchPlan& plan, int64_t k, uint8_t* out) { decode(plan, k, out); },
      DecodeAhead::Limits{.threads = num_threads(), .bytes = kPrefetchBytes});
}

StreamedPictures::~StreamedPictures() = default;

void StreamedPictures::decode(const BatchPlan& plan, int64_t k, uint8_t* out) const {
  const int64_t index = plan.indices[static_cast<size_t>(k)];
  if (kept_ && kept_->copy(index, out)) return;
  const Tensor picture = stream_.load(index);
  DDPM_CHECK(picture.size(2) == stream_.channels);
  cut_image(picture, stream_.size,
            plan.crops.empty() ? nullptr : &plan.crops[static_cast<size_t>(k)], out);
  if (kept_) kept_->put(index, out);
}

Batch StreamedPictures::batch(const BatchPlan& plan) const {
  check_plan(plan, size());
  const auto count = static_cast<int64_t>(plan.indices.size());
  const Tensor bytes = ahead_->take(plan);
  BatchPlan in_order{.indices = std::vector<int64_t>(plan.indices.size()), .flips = plan.flips};
  std::iota(in_order.indices.begin(), in_order.indices.end(), int64_t{0});
  Batch batch =
      Dataset(bytes.reshape({count, stream_.size.height, stream_.size.width, stream_.channels}),
              stream_.name)
          .batch(in_order);
  batch.labels = labels_of(stream_.labels, plan);
  return batch;
}

int64_t StreamedPictures::bytes_to_come() const { return kept_ ? kept_->bytes_to_come() : 0; }

void StreamedPictures::prefetch(std::span<const BatchPlan> next) const {
  for (const BatchPlan& plan : next) check_plan(plan, size());
  ahead_->expect(next);
}

}  // namespace ddpm
