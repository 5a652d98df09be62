// Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
// easy as 1, 2, 3"). A number is a pure function of (seed, stream, position). Results therefore do
// not depend on the number of threads, nor on how work is divided into batches. There is no hidden
// state to save.
#pragma once

#include <array>
#include <cstdint>

namespace ddpm {

// The generator itself: 10 rounds over a 128-bit counter with a 64-bit key.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A stream of numbers, addressed by position. Cheap to make and copy.
class Philox {
 public:
  explicit Philox(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  // 32 uniform bits.
  uint32_t bits(uint64_t position) const;
  // Uniform in [0, 1), 24 bits.
  float uniform(uint64_t position) const;
  // Uniform integer in [0, bound) for bound >= 1. The bias is below 2^-32.
  uint64_t below(uint64_t bound, uint64_t position) const;
  // Standard normal numbers at the positions first ... first + count - 1 (Box-Muller on
  // consecutive pairs).
  void normal(uint64_t first, int64_t count, float* out) const;

 private:
  std::array<uint32_t, 4> block(uint64_t index) const;
  uint64_t seed_;
  uint64_t stream_;
};

// Mixes two numbers to derive independent seeds or streams (the finaliser of SplitMix64).
uint64_t mix_seed(uint64_t a, uint64_t b);

}  // namespace ddpm
