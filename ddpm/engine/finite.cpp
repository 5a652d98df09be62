#include "ddpm/engine/finite.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

// Has no branch per value, so that it is as fast as the memory.
bool all_finite(const float* values, int64_t count) {
  constexpr uint32_t kExponent = 0x7F800000;
  uint32_t bad = 0;
  for (int64_t i = 0; i < count; ++i) {
    bad |= static_cast<uint32_t>((std::bit_cast<uint32_t>(values[i]) & kExponent) == kExponent);
  }
  return bad == 0;
}

}  // namespace

std::optional<float> find_not_finite(const Tensor& values) {
  if (!values.memory().holds_values()) return std::nullopt;
  const Tensor here = values.to(Device::kCpu);
  constexpr int64_t kChunk = 1 << 12;
  const float* next = here.f32();
  for (int64_t left = here.elements(); left > 0; left -= kChunk, next += kChunk) {
    const int64_t count = std::min(left, kChunk);
    if (all_finite(next, count)) continue;
    return *std::find_if(next, next + count, [](float value) { return !std::isfinite(value); });
  }
  return std::nullopt;
}

}  // namespace ddpm
