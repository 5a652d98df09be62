#include "ddpm/base/philox.h"

#include <cmath>
#include <numbers>

namespace ddpm {

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  return c;
}

std::array<uint32_t, 4> Philox::block(uint64_t index) const {
  return philox4x32({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                     static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)},
                    {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
}

uint32_t Philox::bits(uint64_t position) const { return block(position / 4)[position % 4]; }

float Philox::uniform(uint64_t position) const {
  return static_cast<float>(bits(position) >> 8) * 0x1p-24f;
}

__extension__ typedef unsigned __int128 uint128;

uint64_t Philox::below(uint64_t bound, uint64_t position) const {
  const auto words = block(position);
  const uint64_t wide = (uint64_t{words[0]} << 32) | words[1];
  return static_cast<uint64_t>((static_cast<uint128>(wide) * bound) >> 64);
}

void Philox::normal(uint64_t first, int64_t count, float* out) const {
  for (int64_t i = 0; i < count;) {
    const uint64_t index = (first + i) / 4;
    const auto words = block(index);
    float values[4];
    for (int pair = 0; pair < 2; ++pair) {
      // Both numbers have 32 bits. The first lies in (0, 1], so that its logarithm is finite.
      const double u = (words[2 * pair] + 1.0) * 0x1p-32;
      const double angle = 2 * std::numbers::pi * (words[2 * pair + 1] * 0x1p-32);
      const double radius = std::sqrt(-2 * std::log(u));
      values[2 * pair] = static_cast<float>(radius * std::cos(angle));
      values[2 * pair + 1] = static_cast<float>(radius * std::sin(angle));
    }
    for (uint64_t lane = (first + i) % 4; lane < 4 && i < count; ++lane) out[i++] = values[lane];
  }
}

uint64_t mix_seed(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9E3779B97F4A7C15u * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace ddpm
