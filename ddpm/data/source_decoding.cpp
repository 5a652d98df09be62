#include "ddpm/data/source_decoding.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/base/threads.h"
#include "ddpm/comm/messages.h"
#include "ddpm/data/shared_decoding.h"
#include "ddpm/data/source_files.h"

namespace ddpm {
namespace {

class Decoding {
 public:
  Decoding(const PictureList& list, const PictureFormat& format, bool in_memory,
           const LoadProgress& progress, Communicator* ranks)
      : list_(list), fitting_(format.fitting), progress_(progress), ranks_(ranks) {
    if (in_memory && fitting_.uncut)
      uncut_.resize(static_cast<size_t>(list.count));
    else if (in_memory)
      store_.emplace(list.count, format);
    pictures_.resize(static_cast<size_t>(list.count));
    is_known_.resize(static_cast<size_t>(list.count));
  }

  // Picture i need not be decoded.
  void skip(int64_t i, const IndexedPicture& known) {
    pictures_[static_cast<size_t>(i)] = known;
    is_known_[static_cast<size_t>(i)] = true;
    ++done_;
  }

  // Decodes pictures of this rank. Returns whether some are left: one of several ranks stops after
  // half a second, to hear whether another one has failed or was interrupted.
  bool run() {
    using Clock = std::chrono::steady_clock;
    if (done_ == list_.count) return false;
    if (ranks_ != nullptr) tell_progress();
    const auto end = ranks_ == nullptr ? Clock::time_point::max()
                                       : Clock::now() + std::chrono::milliseconds(500);
    parallel_for(num_threads(), 1, [&](int64_t, int64_t) {
      try {
        // Files differ much in size, so each thread takes the next picture when it has finished
        // one.
        for (int64_t i; !stopped_ && Clock::now() < end && (i = next_++) < list_.count;)
          if (!is_known_[static_cast<size_t>(i)] && decodes(ranks_, i)) one(i);
      } catch (...) {
        stopped_ = true;
        throw;
      }
    });
    return next_ < list_.count;
  }

  // Gets what the other ranks have decoded. Throws as agree() does.
  void share() {
    if (ranks_ == nullptr) return;
    share_index(*ranks_, pictures_);
    if (store_) {
      share_pictures(
          *ranks_, list_.count, [this](int64_t i) { return store_->image(i); },
          [this](int64_t i, const Tensor& picture) {
            tell_progress();
            store_->put(i, picture);
          });
    } else if (!uncut_.empty()) {
      share_pictures(
          *ranks_, list_.count, [this](int64_t i) { return uncut_[static_cast<size_t>(i)]; },
          [this](int64_t i, const Tensor& picture) {
            tell_progress();
            keep_uncut(i, picture);
          });
    }
  }

  // Called after run(), once each.
  std::vector<IndexedPicture> take_pictures() { return std::move(pictures_); }
  Tensor take_images() { return store_ ? store_->take() : Tensor(); }
  std::vector<Tensor> take_uncut() {
    std::erase_if(uncut_, [](const Tensor& picture) { return !picture.defined(); });
    return std::move(uncut_);
  }

 private:
  void one(int64_t i) {
    Picture picture;
    std::string reason;
    // Another time such a file may be read.
    bool system_failed = false;
    try {
      picture = list_.load(i, fitting_);
    } catch (const SystemError& error) {
      const std::string path = list_.path_of(i), text = error.what();
      if (is_transient(error.code()) && text.find(printable(path)) == std::string::npos)
        fail_system("data", fmt::format("{}: {}", path, text), error.code());
      reason = reason_to_skip(error);
      system_failed = true;
    } catch (const Error& error) {
      reason = reason_to_skip(error);
    }
    const bool sound = picture.image.defined();
    if (sound && store_) store_->put(i, picture.image);
    std::lock_guard lock(lock_);
    if (sound && !uncut_.empty()) keep_uncut(i, picture.image);
    IndexedPicture& result = pictures_[static_cast<size_t>(i)];
    result = {.file = std::move(picture.file),
              .channels = sound ? picture.image.size(2) : 0,
              .reason = std::move(reason)};
    if (!sound && !system_failed && list_.file_of) result.file = list_.file_of(i);
    ++done_;
    if (!stopped_) tell_progress();
  }

  // For the holder of the lock, or while there is one thread.
  void tell_progress() const {
    // The other ranks are about as far.
    const int64_t ranks = ranks_ == nullptr ? 1 : ranks_->size();
    if (progress_) progress_(std::min(done_ * ranks, list_.count), list_.count);
  }

  // For the holder of the lock.
  void keep_uncut(int64_t i, const Tensor& picture) {
    constexpr int64_t kCheckEvery = int64_t{1} << 26;
    uncut_bytes_ += picture.bytes();
    if (uncut_bytes_ > checked_bytes_) {
      checked_bytes_ += kCheckEvery;
      require_memory(
          "the next part of the pictures, which are not cut yet (--stream on leaves "
          "them in their files),",
          kCheckEvery);
    }
    uncut_[static_cast<size_t>(i)] = picture;
  }

  const PictureList& list_;
  const Fitting fitting_;
  const LoadProgress& progress_;
  Communicator* const ranks_;
  std::optional<PictureStore> store_;
  std::vector<char> is_known_;
  std::atomic<int64_t> next_ = 0;
  std::atomic<bool> stopped_ = false;
  // Guards the members below.
  std::mutex lock_;
  int64_t done_ = 0;
  std::vector<IndexedPicture> pictures_;
  // If pictures are kept in memory before they are cut.
  std::vector<Tensor> uncut_;
  int64_t uncut_bytes_ = 0, checked_bytes_ = 0;
};

}  // namespace

CheckedPictures check_all(const PictureList& list, const PictureFormat& format,
                          const KnownPictures& known, bool in_memory, const LoadProgress& progress,
                          Communicator* ranks) {
  std::optional<Decoding> made;
  agree(ranks, [&] { made.emplace(list, format, in_memory, progress, ranks); });
  Decoding& decoding = *made;
  for (int64_t i = 0; !in_memory && list.file_of && i < list.count; ++i) {
    if (const IndexedPicture* picture = known.find(list.file_of(i))) decoding.skip(i, *picture);
  }
  for (bool more = true; more;) {
    agree(ranks, [&] { more = decoding.run(); });
    if (ranks != nullptr) more = any_of(*ranks, more);
  }
  decoding.share();
  CheckedPictures checked{
      .all = decoding.take_pictures(), .images = {}, .uncut = {}, .channels = 0};
  const bool some = std::any_of(checked.all.begin(), checked.all.end(),
                                [](const IndexedPicture& picture) { return picture.channels > 0; });
  if (some) checked.images = decoding.take_images();
  checked.uncut = decoding.take_uncut();
  checked.channels = format.channels;
  for (const IndexedPicture& picture : checked.all) {
    if (format.channels == 0) checked.channels = std::max(checked.channels, picture.channels);
  }
  return checked;
}

bool knows_all(const KnownPictures& known, const PictureList& list) {
  if (!list.file_of) return false;
  for (int64_t i = 0; i < list.count; ++i)
    if (known.find(list.file_of(i)) == nullptr) return false;
  return true;
}

}  // namespace ddpm
