// How many pictures an evaluation compares, and how many of them are in memory at the same time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ddpm {

// Of a larger source this many pictures are compared, if no other number is asked for.
inline constexpr int64_t kMostReal = 50'000;

// The pictures of one part, each of so many values. Large ones come in smaller parts.
inline int64_t pictures_of_part(int64_t values) {
  constexpr int64_t kMostValues = int64_t{1} << 24, kLeast = 16, kMost = 256;
  return std::clamp(kMostValues / std::max<int64_t>(values, 1), kLeast, kMost);
}

}  // namespace ddpm
