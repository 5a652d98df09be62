// Collects the pictures of a data set while they are decoded, in the tensor that is kept in the
// end. Private to this room.
#pragma once

#include <cstdint>
#include <shared_mutex>
#include <string>
#include <vector>

#include "ddpm/data/pixels.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The form that every picture gets.
struct PictureFormat {
  ImageSize size;
  int64_t channels = 0;  // 0: the fewest that hold all pictures
  Colour background;     // under transparency that is not kept
};

class PictureStore {
 public:
  // Throws UsageError where `count` pictures do not fit in memory, saying what would.
  PictureStore(int64_t count, const PictureFormat& format);

  // Stores picture i, [size.height, size.width, 1, 3 or 4]. Each i may be put once. Thread-safe.
  // Throws UsageError where this picture needs more channels and the pictures then no longer fit in
  // memory.
  void put(int64_t i, const Tensor& image);

  // All pictures that were put, in their order: [N, H, W, C]. The store cannot be used afterwards.
  Tensor take();

 private:
  void widen(int64_t channels);

  int64_t count_;
  PictureFormat format_;
  bool grows_;              // channels are not given
  std::shared_mutex lock_;  // exclusive to change the tensor, shared to fill it
  Tensor images_;
  std::vector<char> there_;
};

// Throws SystemError (ENOMEM) where the system does not have that much more memory. `what` says in
// the message what needs it.
void require_memory(const std::string& what, int64_t bytes);

}  // namespace ddpm
