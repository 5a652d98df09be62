// Dropout. The random bits are those of Philox, made for a vector of its blocks of four numbers at
// a time. Which elements are dropped depends only on the image's seed and on their place.
#include <algorithm>
#include <cmath>

#include "ddpm/kernels/cpu/ops/cpu_backend.h"
#include "ddpm/kernels/cpu/work/tasks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/ops/dropout.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

using Words = hn::RebindToUnsigned<Floats>;
using WordVec = hn::Vec<Words>;

// The high halves of a b.
HWY_INLINE WordVec multiply_high(WordVec a, WordVec b) {
#if HWY_TARGET == HWY_SCALAR
  const uint64_t product = uint64_t{hn::GetLane(a)} * hn::GetLane(b);
  return hn::Set(Words(), static_cast<uint32_t>(product >> 32));
#else
  const auto even = hn::MulEven(a, b);
  const auto odd = hn::MulEven(hn::DupOdd(a), hn::DupOdd(b));
  return hn::OddEven(hn::BitCast(Words(), odd), hn::BitCast(Words(), hn::ShiftRight<32>(even)));
#endif
}

// The four words of the blocks `index` of Philox (base/philox.h), a vector of each.
HWY_INLINE void philox_blocks(WordVec index, uint64_t seed, uint64_t stream, WordVec* words) {
  const Words w;
  WordVec c0 = index, c1 = hn::Zero(w);
  WordVec c2 = hn::Set(w, static_cast<uint32_t>(stream));
  WordVec c3 = hn::Set(w, static_cast<uint32_t>(stream >> 32));
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  const WordVec m0 = hn::Set(w, 0xD2511F53u), m1 = hn::Set(w, 0xCD9E8D57u);
  for (int round = 0; round < 10; ++round) {
    const WordVec high0 = multiply_high(c0, m0), high1 = multiply_high(c2, m1);
    const WordVec low0 = hn::Mul(c0, m0), low1 = hn::Mul(c2, m1);
    c0 = hn::Xor(hn::Xor(high1, c1), hn::Set(w, k0));
    c1 = low1;
    c2 = hn::Xor(hn::Xor(high0, c3), hn::Set(w, k1));
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

// Elements [first, first + count) of an image, `first` being a multiple of 4: 0 where the 24 random
// bits are below `limit`, x times factor elsewhere.
void drop(uint64_t seed, uint64_t stream, uint32_t limit, float factor, int64_t first,
          int64_t count, const float* x, float* y) {
  constexpr int64_t kAtOnce = 4 * kLanes;
  const Words w;
  const WordVec least = hn::Set(w, limit);
  HWY_ALIGN uint32_t bits[kAtOnce];
  for (int64_t i = 0; i < count; i += kAtOnce) {
    const WordVec block =
        hn::Add(hn::Iota(w, 0), hn::Set(w, static_cast<uint32_t>((first + i) / 4)));
    WordVec words[4];
    philox_blocks(block, seed, stream, words);
    hn::StoreInterleaved4(words[0], words[1], words[2], words[3], w, bits);
    const int64_t left = count - i, here = left < kAtOnce ? left : kAtOnce;
    for_each_vector(here, [&](int64_t j, auto lanes) DDPM_SIMD_LAMBDA {
      const WordVec drawn = hn::ShiftRight<8>(hn::LoadU(w, bits + j));
      const auto dropped = hn::RebindMask(Floats(), hn::Lt(drawn, least));
      const Vec kept = hn::Mul(lanes.load(x + i + j), set(factor));
      lanes.store(hn::IfThenZeroElse(dropped, kept), y + i + j);
    });
  }
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

DDPM_SIMD_TABLE(drop);

namespace {

// x and y are [images, size].
void dropout(double rate, const uint64_t* seeds, uint64_t stream, int64_t images, int64_t size,
             const float* x, float* y) {
  const float factor = static_cast<float>(1 / (1 - rate));
  // k 2^-24 < rate exactly where k < limit.
  const auto limit = static_cast<uint32_t>(std::ceil(rate * 0x1p24));
  constexpr int64_t kChunk = 4096, kCost = 16;  // of a number, in multiply-adds
  const int64_t chunks = ceil_div(size, kChunk);
  const auto kernel = DDPM_SIMD_CHOOSE(drop);
  for_each_task(images * chunks, kCost * images * size, [&](int64_t task) {
    const int64_t n = task / chunks, first = task % chunks * kChunk, at = n * size + first;
    kernel(seeds[n], stream, limit, factor, first, std::min(kChunk, size - first), x + at, y + at);
  });
}

}  // namespace
}  // namespace ddpm::cpu

namespace ddpm {

void CpuBackend::run(const op::Dropout& o) {
  const int64_t images = o.x.size(0);
  cpu::dropout(o.rate, o.seeds.data(), o.stream, images,
               o.x.elements() / std::max<int64_t>(images, 1), o.x.f32(), o.y.f32());
}

}  // namespace ddpm
#endif
