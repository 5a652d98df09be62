#include "ddpm/engine/run/batch_feed.h"

#include "ddpm/engine/run/checked_pictures.h"

namespace ddpm {

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
    plans_.push_back(sampler_.at(next));
  }
  pictures_->prefetch(plans_);
  return checked_batch(*pictures_, plans_.front());
}

}  // namespace ddpm
