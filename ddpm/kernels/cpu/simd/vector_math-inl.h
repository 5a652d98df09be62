// Vectors of float32 for kernel files: partial loads and stores, and transcendental functions.
// Include it after hwy/highway.h, inside no namespace; it is compiled once for each target. The
// functions have no branches and keep NaN. A lane gets the same bits whatever is in the others, so
// that a result does not depend on where work was cut.
#if defined(DDPM_KERNELS_CPU_VECTOR_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DDPM_KERNELS_CPU_VECTOR_MATH_INL_H_
#undef DDPM_KERNELS_CPU_VECTOR_MATH_INL_H_
#else
#define DDPM_KERNELS_CPU_VECTOR_MATH_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vec = hn::Vec<Floats>;
using Doubles = hn::ScalableTag<double>;
using DoubleVec = hn::Vec<Doubles>;

constexpr int64_t kLanes = HWY_LANES(float);
constexpr int64_t kDoubleLanes = HWY_LANES(double);

HWY_INLINE Vec load(const float* from) { return hn::LoadU(Floats(), from); }
HWY_INLINE void store(Vec v, float* to) { hn::StoreU(v, Floats(), to); }
HWY_INLINE Vec set(float value) { return hn::Set(Floats(), value); }

// The first count lanes, 0 < count < kLanes; zero beyond. No memory beyond them is touched.
HWY_INLINE Vec load_first(const float* from, int64_t count) {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  return hn::MaskedLoad(hn::FirstN(Floats(), static_cast<size_t>(count)), Floats(), from);
#else
  HWY_ALIGN float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return hn::Load(Floats(), lanes);
#endif
}
HWY_INLINE void store_first(Vec v, int64_t count, float* to) {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  hn::BlendedStore(v, hn::FirstN(Floats(), static_cast<size_t>(count)), Floats(), to);
#else
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, Floats(), lanes);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
#endif
}

// kDoubleLanes floats as doubles.
HWY_INLINE DoubleVec load_double(const float* from) {
  const hn::Rebind<float, Doubles> half;
  return hn::PromoteTo(Doubles(), hn::LoadU(half, from));
}

// A number as a type, for generic lambdas: decltype(count)::value.
template <int kValue>
struct Count {
  static constexpr int value = kValue;
};

// Calls body(i, Whole) for the whole vectors of [0, count) and body(i, Some) for what is left;
// Whole and Some load and store that many lanes. only() keeps those lanes of v and fills the
// others.
struct Whole {
  HWY_INLINE Vec load(const float* from) const { return HWY_NAMESPACE::load(from); }
  HWY_INLINE void store(Vec v, float* to) const { HWY_NAMESPACE::store(v, to); }
  HWY_INLINE Vec only(Vec v, float) const { return v; }
};
struct Some {
  int64_t count;
  HWY_INLINE Vec load(const float* from) const { return load_first(from, count); }
  HWY_INLINE void store(Vec v, float* to) const { store_first(v, count, to); }
  HWY_INLINE Vec only(Vec v, float fill) const {
    return hn::IfThenElse(hn::FirstN(Floats(), static_cast<size_t>(count)), v, set(fill));
  }
};
template <class Body>
HWY_INLINE void for_each_vector(int64_t count, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, Whole());
  if (i < count) body(i, Some{count - i});
}

// Calls body(first column, Count<vectors>, lanes) for strips that cover the columns: two vectors
// wide, a cache line with AVX2, then what is left.
template <class Body>
HWY_INLINE void for_each_strip(int64_t columns, const Body& body) {
  int64_t j = 0;
  for (; j + 2 * kLanes <= columns; j += 2 * kLanes) body(j, Count<2>(), Whole());
  for (; j + kLanes <= columns; j += kLanes) body(j, Count<1>(), Whole());
  if (j < columns) body(j, Count<1>(), Some{columns - j});
}

// NaN stays NaN: x86 returns the second operand of a comparison with NaN, NEON the NaN itself.
#if HWY_TARGET == HWY_SCALAR
HWY_INLINE Vec at_least(Vec x, float low) {
  return hn::IfThenElse(hn::Lt(x, set(low)), set(low), x);
}
HWY_INLINE Vec at_most(Vec x, float high) {
  return hn::IfThenElse(hn::Gt(x, set(high)), set(high), x);
}
#else
HWY_INLINE Vec at_least(Vec x, float low) { return hn::Max(set(low), x); }
HWY_INLINE Vec at_most(Vec x, float high) { return hn::Min(set(high), x); }
#endif

// e^x for x in [-87.3, 88.3], relative error 1e-7: e^x = 2^n e^r with |r| <= log(2) / 2, ln(2) in
// two parts, Cephes' polynomial for e^r. Rounding by a magic number leaves n in the low bits.
HWY_INLINE Vec exp_within(Vec x) {
  const hn::RebindToSigned<Floats> integers;
  const Vec magic = set(12582912.0f);
  const Vec shifted = hn::MulAdd(x, set(1.44269504f), magic);
  const Vec n = hn::Sub(shifted, magic);
  Vec r = hn::MulAdd(n, set(-0.693359375f), x);
  r = hn::MulAdd(n, set(2.12194440e-4f), r);
  Vec p = set(1.9875691500e-4f);
  p = hn::MulAdd(p, r, set(1.3981999507e-3f));
  p = hn::MulAdd(p, r, set(8.3334519073e-3f));
  p = hn::MulAdd(p, r, set(4.1665795894e-2f));
  p = hn::MulAdd(p, r, set(1.6666665459e-1f));
  p = hn::MulAdd(p, r, set(5.0000001201e-1f));
  p = hn::MulAdd(hn::Mul(p, r), r, hn::Add(r, set(1)));
  const auto power = hn::ShiftLeft<23>(hn::BitCast(integers, shifted));
  return hn::Mul(p, hn::BitCast(Floats(), hn::Add(power, hn::BitCast(integers, set(1)))));
}

// e^x for x <= 88.3, as in softmaxes, where no argument is positive. It is 0 below -87.3, not the
// smallest number: products with that would be denormal, and those are slow.
HWY_INLINE Vec exp(Vec x) { return hn::IfThenZeroElse(hn::Lt(x, set(-87.3f)), exp_within(x)); }

// x / (1 + e^-x). Below -88 it stays at silu(-88) = -5e-37, so that infinity is never multiplied by
// zero.
HWY_INLINE Vec silu(Vec x) {
  const Vec low = at_least(x, -88);
  return hn::Div(low, hn::Add(set(1), exp_within(hn::Neg(at_most(low, 87)))));
}
// s (1 + x (1 - s)), s = 1 / (1 + e^-x); 1 - s is s e^-x, without cancellation.
HWY_INLINE Vec silu_slope(Vec x) {
  const Vec within = at_most(at_least(x, -88), 87);
  const Vec e = exp_within(hn::Neg(within));
  const Vec s = hn::Div(set(1), hn::Add(set(1), e));
  return hn::MulAdd(hn::Mul(within, s), hn::Mul(e, s), s);
}

// erfc(|x| / sqrt(2)) and exp(-x^2 / 2) for |x| <= 13. The first is t e^(-x^2 / 2) P(t) with t = 1
// / (1 + |x| / sqrt(8)). P is the polynomial with the smallest relative error (6e-9). The
// exponential is corrected for the rounding error of x^2, which it would amplify up to 85 times.
struct Tail {
  Vec erfc, density;
};
HWY_INLINE Tail gaussian_tail(Vec x) {
  const Vec half = hn::Mul(x, set(-0.5f));
  const Vec argument = hn::Mul(half, x);
  const Vec error = hn::MulSub(half, x, argument);
  const Vec e = exp_within(argument);
  const Vec density = hn::MulAdd(e, error, e);
  const Vec t = hn::Div(set(1), hn::MulAdd(hn::Abs(x), set(0.353553391f), set(1)));
  Vec p = set(0.0309257400f);
  p = hn::MulAdd(p, t, set(-0.162719941f));
  p = hn::MulAdd(p, t, set(0.308920942f));
  p = hn::MulAdd(p, t, set(-0.182796530f));
  p = hn::MulAdd(p, t, set(-0.121948905f));
  p = hn::MulAdd(p, t, set(0.0974281392f));
  p = hn::MulAdd(p, t, set(0.0291269020f));
  p = hn::MulAdd(p, t, set(0.192645385f));
  p = hn::MulAdd(p, t, set(0.243963297f));
  p = hn::MulAdd(p, t, set(0.282371478f));
  p = hn::MulAdd(p, t, set(0.282083495f));
  return {hn::Mul(hn::Mul(p, t), density), density};
}

// Phi(x), the normal distribution function, from its tail.
HWY_INLINE Vec gaussian_below(Vec x, Vec erfc) {
  const Vec tail = hn::Mul(erfc, set(0.5f));
  return hn::IfThenElse(hn::Lt(x, hn::Zero(Floats())), tail, hn::Sub(set(1), tail));
}

// x Phi(x). Below -13 it stays at gelu(-13) = -8e-38.
HWY_INLINE Vec gelu(Vec x) {
  const Vec low = at_least(x, -13);
  const Vec within = at_most(low, 13);
  return hn::Mul(low, gaussian_below(within, gaussian_tail(within).erfc));
}
HWY_INLINE Vec gelu_slope(Vec x) {
  const Vec within = at_most(at_least(x, -13), 13);
  const Tail tail = gaussian_tail(within);
  const Vec density = hn::Mul(tail.density, set(0.398942280f));
  return hn::MulAdd(within, density, gaussian_below(within, tail.erfc));
}

}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
