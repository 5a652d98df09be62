// The order of work of normalisations and linear attention: a pass over blocks of an image that
// reduces, a merge, and a pass that applies the result.
#pragma once

#include <cstdint>
#include <functional>

namespace ddpm::cpu {

// A pass over fewer elements is done by one thread: another would cost more than it saves.
inline constexpr int64_t kSerialElements = 16384;

// Calls reduce(n, block) for every block of image n, then merge(n), then apply(n, block) for every
// block; images in any order, on any thread. Where there are enough images for all threads, one
// thread does all of an image while its data is still in the cache. Otherwise threads share the
// blocks of an image, or, where a pass has few elements, this thread does everything.
void for_each_image_in_phases(int64_t images, int64_t blocks, int64_t elements,
                              const std::function<void(int64_t n, int64_t block)>& reduce,
                              const std::function<void(int64_t n)>& merge,
                              const std::function<void(int64_t n, int64_t block)>& apply);

}  // namespace ddpm::cpu
