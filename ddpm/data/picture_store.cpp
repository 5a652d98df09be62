// Pictures are never in memory twice. If the number of channels is not given, the store starts with
// one channel and grows when a picture needs more. In most data sets the first picture does.
#include "ddpm/data/picture_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <mutex>

#include "ddpm/base/error.h"
#include "ddpm/base/memory.h"
#include "ddpm/base/threads.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm {
namespace {

// Names the largest pictures of the same proportions that fit in memory.
std::string what_fits(double needed, double available, ImageSize size) {
  const double scale = std::sqrt(available / needed);
  const auto scaled = [&](int64_t side) {
    return static_cast<int64_t>(static_cast<double>(side) * scale);
  };
  const ImageSize fits{scaled(size.height), scaled(size.width)};
  if (fits.height < 1 || fits.width < 1) return "train on fewer pictures";
  return size.height == size.width ? fmt::format("--size {} would fit", fits.height)
                                   : fmt::format("--size {}x{} would fit", fits.height, fits.width);
}

}  // namespace

// Floats, and two pictures of bytes, for each picture that is being decoded.
double memory_of_pictures(int64_t count, ImageSize size, int64_t channels) {
  const double picture = static_cast<double>(size.height) * static_cast<double>(size.width) *
                         static_cast<double>(channels);
  const auto in_work = static_cast<double>(std::min<int64_t>(count, num_threads()));
  return picture * (static_cast<double>(count) + 6 * in_work);
}

PictureStore::PictureStore(int64_t count, const PictureFormat& format)
    : count_(count), format_(format), grows_(format.channels == 0) {
  widen(grows_ ? 1 : format.channels);
  there_.resize(static_cast<size_t>(count));
}

void PictureStore::put(int64_t i, const Tensor& image) {
  const auto fill = [&] {
    const Tensor converted = convert_channels(image, format_.channels, format_.background);
    std::memcpy(images_.rows(i, i + 1).u8(), converted.u8(),
                static_cast<size_t>(converted.bytes()));
    there_[i] = 1;
  };
  {
    const std::shared_lock shared(lock_);
    if (!grows_ || image.size(2) <= format_.channels) return fill();
  }
  const std::unique_lock alone(lock_);
  widen(std::max(image.size(2), format_.channels));
  fill();
}

void PictureStore::widen(int64_t channels) {
  if (images_.defined() && channels == format_.channels) return;
  const ImageSize size = format_.fitting.size;
  const double needed = memory_of_pictures(count_, size, channels);
  // Memory that the allocator keeps for reuse would count as used.
  trim_allocator();
  const AvailableMemory available = available_memory();
  if (needed > static_cast<double>(available.bytes)) {
    fail_usage("data",
               fmt::format("{} picture{} of {}x{} with {} channel{} need {} of memory; {} is left "
                           "({}); {}, or leave them in their files with --stream on",
                           count_, count_ == 1 ? "" : "s", size.height, size.width, channels,
                           channels == 1 ? "" : "s", memory_text(needed),
                           memory_text(available.bytes), available.limit,
                           what_fits(needed, static_cast<double>(available.bytes), size)));
  }
  Tensor wider({count_, size.height, size.width, channels}, DType::kUInt8);
  if (images_.defined()) {
    const Shape one{size.height, size.width, format_.channels};
    for (int64_t i = 0; i < count_; ++i) {
      if (!there_[i]) continue;
      const Tensor picture = images_.rows(i, i + 1).reshape(one);
      const Tensor converted = convert_channels(picture, channels, format_.background);
      std::memcpy(wider.rows(i, i + 1).u8(), converted.u8(),
                  static_cast<size_t>(converted.bytes()));
    }
  }
  images_ = std::move(wider);
  format_.channels = channels;
  trim_allocator();
}

Tensor PictureStore::image(int64_t i) const {
  if (!there_[static_cast<size_t>(i)]) return {};
  const ImageSize size = format_.fitting.size;
  return images_.rows(i, i + 1).reshape({size.height, size.width, format_.channels});
}

Tensor PictureStore::take() {
  int64_t n = 0;
  for (int64_t i = 0; i < count_; ++i) {
    if (!there_[i]) continue;
    if (n != i) images_.rows(n, n + 1).copy_from(images_.rows(i, i + 1));
    ++n;
  }
  return images_.rows(0, n);
}

void require_memory(const std::string& what, int64_t bytes) {
  const AvailableMemory available = available_memory();
  if (bytes <= available.bytes) return;
  fail_system("data",
              fmt::format("{} needs {} of memory; {} is left ({})", what, memory_text(bytes),
                          memory_text(available.bytes), available.limit),
              ENOMEM);
}

}  // namespace ddpm
