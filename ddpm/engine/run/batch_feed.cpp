#include "ddpm/engine/run/batch_feed.h"

#include <utility>

#include "ddpm/engine/run/checked_pictures.h"
#include "ddpm/engine/streams.h"

namespace ddpm {
namespace {

template <class Value>
std::vector<Value> part_of(const std::vector<Value>& all, const Range& part) {
  if (all.empty()) return {};
  return {all.begin() + part.begin, all.begin() + part.end};
}

BatchPlan part_of(const BatchPlan& plan, const Range& part) {
  return {part_of(plan.indices, part), part_of(plan.flips, part), part_of(plan.crops, part)};
}

}  // namespace

BatchFeed feed_of(std::shared_ptr<const Pictures> pictures, const TrainOptions& options) {
  const BatchSamplerOptions sampling{.images = pictures->size(),
                                     .batch = options.optimizer.batch,
                                     .seed = seed_of(options.optimizer.seed, Stream::kPictureOrder),
                                     .flip = options.data.flip,
                                     .crop = options.data.crop == "random"};
  return BatchFeed(std::move(pictures), sampling);
}

Batch BatchFeed::at(int64_t step) {
  // Of the pictures, those with the longest way to memory need some steps of advance.
  constexpr int64_t kAhead = 8;
  if (!plans_.empty() && step == first_ + 1)
    plans_.erase(plans_.begin());
  else if (step != first_)
    plans_.clear();
  first_ = step;
  while (static_cast<int64_t>(plans_.size()) <= kAhead) {
    const int64_t next = first_ + static_cast<int64_t>(plans_.size());
    if (next >= end_ && !plans_.empty()) break;
    plans_.push_back(part_ ? part_of(sampler_.at(next), *part_) : sampler_.at(next));
  }
  pictures_->prefetch(plans_);
  return checked_batch(*pictures_, plans_.front());
}

}  // namespace ddpm
