// Collects the decoded pictures of a data set directly in the tensor that the data set keeps.
// Private to data.
#pragma once

#include <cstdint>
#include <shared_mutex>
#include <string>
#include <vector>

#include "ddpm/data/resize.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The format that every picture is converted to.
struct PictureFormat {
  Fitting fitting;
  // 0: the fewest that hold all pictures.
  int64_t channels = 0;
  // The colour behind transparent pixels if transparency is not kept.
  Colour background;
};

// The memory of so many decoded pictures, and of those that are being decoded.
double memory_of_pictures(int64_t count, ImageSize size, int64_t channels);

class PictureStore {
 public:
  // Throws UsageError if `count` pictures do not fit in memory, and says what would fit.
  PictureStore(int64_t count, const PictureFormat& format);

  // Stores picture i, [size.height, size.width, 1, 3 or 4]. Each i may be stored once. Thread-safe.
  // Throws UsageError if this picture needs more channels and the pictures then do not fit in
  // memory any more.
  void put(int64_t i, const Tensor& image);

  // Stored picture i, with the present number of channels. Undefined if it is not there.
  Tensor image(int64_t i) const;

  // All stored pictures in their order: [N, H, W, C]. The store cannot be used afterwards.
  Tensor take();

 private:
  void widen(int64_t channels);

  int64_t count_;
  PictureFormat format_;
  // True if the number of channels was not given.
  bool grows_;
  // Exclusive to replace the tensor, shared to fill it.
  std::shared_mutex lock_;
  Tensor images_;
  std::vector<char> there_;
};

// Throws SystemError (ENOMEM) if the system does not have that much free memory. `what` says in
// the message what needs the memory.
void require_memory(const std::string& what, int64_t bytes);

}  // namespace ddpm
