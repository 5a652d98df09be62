// The order of work of normalisations and linear attention: a pass over blocks of an image that
// reduces, a merge, and a pass that applies the result.
#pragma once

#include <cstdint>
#include <functional>

namespace ddpm::cpu {

// Elements of a pass below which another thread costs more than it brings.
inline constexpr int64_t kSerialElements = 16384;

// Calls reduce(n, block) for every block of image n, then merge(n), then apply(n, block) for every
// block; images in any order, on any thread. Where there are images enough for all threads, each is
// done from beginning to end while its data is still in the cache; otherwise its blocks are shared
// among threads, or, where there are few elements to a pass, all done here.
void for_each_image_in_phases(int64_t images, int64_t blocks, int64_t elements,
                              const std::function<void(int64_t n, int64_t block)>& reduce,
                              const std::function<void(int64_t n)>& merge,
                              const std::function<void(int64_t n, int64_t block)>& apply);

}  // namespace ddpm::cpu
