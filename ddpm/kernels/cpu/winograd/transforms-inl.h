// The 1-D transforms of Winograd's convolution F(m, 3), m = 2 or 4, on vectors of channels. F(4)
// interpolates at 0, +-0.625, +-1.5 and infinity instead of the textbook's 0, +-1, +-2 and
// infinity: the number of operations is the same and the rounding error is half. The code pairs the
// points of opposite sign, so that B takes 12 multiply-adds. The matrices that it stands for:
//   row of A^T for power j: p^j; row of G for point p: (1, p, p^2) / product of (p - q) over the
//   other finite points q; row of B^T for point p: the coefficients of the product of (x - q);
//   infinity takes the highest power.
// This file has no include guard: kernels.cpp includes it once for each target.
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {

HWY_INLINE Vec constant(double value) { return hn::Set(Floats(), static_cast<float>(value)); }

template <int kM>
struct Transform;

// Points 0, 1, -1, infinity.
template <>
struct Transform<2> {
  static HWY_INLINE void input(const Vec (&d)[4], Vec (&t)[4]) {
    t[0] = hn::Sub(d[2], d[0]);
    t[1] = hn::Add(d[1], d[2]);
    t[2] = hn::Sub(d[2], d[1]);
    t[3] = hn::Sub(d[3], d[1]);
  }
  static HWY_INLINE void output(const Vec (&m)[4], Vec (&y)[2]) {
    y[0] = hn::Add(m[0], hn::Add(m[1], m[2]));
    y[1] = hn::Add(hn::Sub(m[1], m[2]), m[3]);
  }
  static HWY_INLINE void output_gradient(const Vec (&y)[2], Vec (&t)[4]) {
    t[0] = y[0];
    t[1] = hn::Add(y[0], y[1]);
    t[2] = hn::Sub(y[0], y[1]);
    t[3] = y[1];
  }
  static HWY_INLINE void weights(const Vec (&g)[3], Vec (&t)[4]) {
    const Vec half = constant(0.5);
    const Vec even = hn::Mul(half, hn::Add(g[0], g[2])), odd = hn::Mul(half, g[1]);
    t[0] = hn::Neg(g[0]);
    t[1] = hn::Add(even, odd);
    t[2] = hn::Sub(even, odd);
    t[3] = g[2];
  }
  static HWY_INLINE void weights_gradient(const Vec (&s)[4], Vec (&g)[3]) {
    const Vec half = constant(0.5);
    const Vec even = hn::Mul(half, hn::Add(s[1], s[2]));
    g[0] = hn::Sub(even, s[0]);
    g[1] = hn::Mul(half, hn::Sub(s[1], s[2]));
    g[2] = hn::Add(even, s[3]);
  }
};

// Points 0, a, -a, b, -b, infinity.
template <>
struct Transform<4> {
  static constexpr double kA = 0.625, kB = 1.5;
  static constexpr double kAA = kA * kA, kBB = kB * kB;
  static constexpr double kScale0 = 1 / (kAA * kBB);
  static constexpr double kScaleA = 1 / (2 * kAA * (kAA - kBB));
  static constexpr double kScaleB = 1 / (2 * kBB * (kBB - kAA));

  static HWY_INLINE void input(const Vec (&d)[6], Vec (&t)[6]) {
    const Vec aabb = constant(kAA * kBB), sum = constant(kAA + kBB);
    const Vec aa = constant(kAA), bb = constant(kBB), a = constant(kA), b = constant(kB);
    t[0] = hn::MulAdd(aabb, d[0], hn::NegMulAdd(sum, d[2], d[4]));
    t[5] = hn::MulAdd(aabb, d[1], hn::NegMulAdd(sum, d[3], d[5]));
    const Vec even_a = hn::NegMulAdd(bb, d[2], d[4]), odd_a = hn::NegMulAdd(bb, d[1], d[3]);
    t[1] = hn::MulAdd(a, odd_a, even_a);
    t[2] = hn::NegMulAdd(a, odd_a, even_a);
    const Vec even_b = hn::NegMulAdd(aa, d[2], d[4]), odd_b = hn::NegMulAdd(aa, d[1], d[3]);
    t[3] = hn::MulAdd(b, odd_b, even_b);
    t[4] = hn::NegMulAdd(b, odd_b, even_b);
  }
  static HWY_INLINE void output(const Vec (&m)[6], Vec (&y)[4]) {
    const Vec even_a = hn::Add(m[1], m[2]), odd_a = hn::Sub(m[1], m[2]);
    const Vec even_b = hn::Add(m[3], m[4]), odd_b = hn::Sub(m[3], m[4]);
    y[0] = hn::Add(m[0], hn::Add(even_a, even_b));
    y[1] = hn::MulAdd(constant(kB), odd_b, hn::Mul(constant(kA), odd_a));
    y[2] = hn::MulAdd(constant(kBB), even_b, hn::Mul(constant(kAA), even_a));
    y[3] = hn::MulAdd(constant(kBB * kB), odd_b, hn::MulAdd(constant(kAA * kA), odd_a, m[5]));
  }
  static HWY_INLINE void output_gradient(const Vec (&y)[4], Vec (&t)[6]) {
    const Vec even_a = hn::MulAdd(constant(kAA), y[2], y[0]);
    const Vec odd_a = hn::MulAdd(constant(kAA * kA), y[3], hn::Mul(constant(kA), y[1]));
    const Vec even_b = hn::MulAdd(constant(kBB), y[2], y[0]);
    const Vec odd_b = hn::MulAdd(constant(kBB * kB), y[3], hn::Mul(constant(kB), y[1]));
    t[0] = y[0];
    t[1] = hn::Add(even_a, odd_a);
    t[2] = hn::Sub(even_a, odd_a);
    t[3] = hn::Add(even_b, odd_b);
    t[4] = hn::Sub(even_b, odd_b);
    t[5] = y[3];
  }
  static HWY_INLINE void weights(const Vec (&g)[3], Vec (&t)[6]) {
    const Vec even_a = hn::MulAdd(constant(kScaleA * kAA), g[2], hn::Mul(constant(kScaleA), g[0]));
    const Vec even_b = hn::MulAdd(constant(kScaleB * kBB), g[2], hn::Mul(constant(kScaleB), g[0]));
    const Vec odd_a = constant(kScaleA * kA), odd_b = constant(kScaleB * kB);
    t[0] = hn::Mul(constant(kScale0), g[0]);
    t[1] = hn::MulAdd(odd_a, g[1], even_a);
    t[2] = hn::NegMulAdd(odd_a, g[1], even_a);
    t[3] = hn::MulAdd(odd_b, g[1], even_b);
    t[4] = hn::NegMulAdd(odd_b, g[1], even_b);
    t[5] = g[2];
  }
  static HWY_INLINE void weights_gradient(const Vec (&s)[6], Vec (&g)[3]) {
    const Vec even_a = hn::Add(s[1], s[2]), odd_a = hn::Sub(s[1], s[2]);
    const Vec even_b = hn::Add(s[3], s[4]), odd_b = hn::Sub(s[3], s[4]);
    g[0] = hn::MulAdd(constant(kScaleB), even_b,
                      hn::MulAdd(constant(kScaleA), even_a, hn::Mul(constant(kScale0), s[0])));
    g[1] = hn::MulAdd(constant(kScaleB * kB), odd_b, hn::Mul(constant(kScaleA * kA), odd_a));
    g[2] = hn::MulAdd(constant(kScaleB * kBB), even_b,
                      hn::MulAdd(constant(kScaleA * kAA), even_a, s[5]));
  }
};

}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
