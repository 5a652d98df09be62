#include "ddpm/parallel/wire.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace ddpm {
namespace {

uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  // A rounded NaN could become infinity.
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float from_bfloat16(uint16_t value) { return std::bit_cast<float>(uint32_t{value} << 16); }

}  // namespace

void write_wire(const Tensor& values, std::span<std::byte> to, bool bfloat16) {
  if (!values.defined()) {
    std::memset(to.data(), 0, to.size());
  } else if (!bfloat16) {
    std::memcpy(to.data(), values.f32(), to.size());
  } else {
    const float* from = values.f32();
    for (size_t i = 0; i < to.size() / 2; ++i) {
      const uint16_t half = to_bfloat16(from[i]);
      std::memcpy(to.data() + 2 * i, &half, 2);
    }
  }
}

Tensor read_wire(std::span<const std::byte> from, const Shape& shape) {
  Tensor values(shape);
  float* to = values.f32();
  for (size_t i = 0; i < from.size() / 2; ++i) {
    uint16_t half = 0;
    std::memcpy(&half, from.data() + 2 * i, 2);
    to[i] = from_bfloat16(half);
  }
  return values;
}

}  // namespace ddpm
