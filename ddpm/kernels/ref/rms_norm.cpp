// RMS normalisation, FiLM and SiLU by their formulas, one position after the other.
// With h = x sqrt(C) / |x|, v = h g, u = v (scale + 1) + shift, y = act(u).

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"
#include "ddpm/kernels/ref/scalar_functions.h"

namespace ddpm {
namespace {

// What a position's channels are multiplied by: sqrt(C) / max(|x|, 1e-12).
struct Norm {
  Norm(const float* x, int64_t channels) {
    double squares = 0;
    for (int64_t c = 0; c < channels; ++c) squares += double{x[c]} * x[c];
    constexpr double kLeast = 1e-12;
    const double norm = std::sqrt(squares);
    factor = std::sqrt(static_cast<double>(channels)) / std::max(norm, kLeast);
    inverse_square = norm < kLeast ? 0 : 1 / squares;
  }
  double factor;
  double inverse_square;  // 1 / |x|^2; 0 where |x| is too small to matter
};

struct Film {
  Film(const Tensor* film, int64_t n, int64_t channels)
      : scales(film ? film->f32() + 2 * n * channels : nullptr), channels(channels) {}
  double scale(int64_t c) const { return scales ? double{scales[c]} + 1 : 1; }
  double shift(int64_t c) const { return scales ? scales[channels + c] : 0; }
  const float* scales;
  int64_t channels;
};

}  // namespace

void RefBackend::run(const op::RmsNorm& o) {
  const int64_t N = o.x.size(0), C = o.x.size(-1);
  const int64_t positions = o.x.elements() / std::max<int64_t>(N * C, 1);
  parallel_for(N * positions, ref::grain(32 * C), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const Norm norm(o.x.f32() + row * C, C);
      const Film film(o.film, row / positions, C);
      for (int64_t c = 0; c < C; ++c) {
        const double v = o.x.f32()[row * C + c] * norm.factor * o.g.f32()[c];
        const double u = v * film.scale(c) + film.shift(c);
        const double rest = o.residual ? o.residual->f32()[row * C + c] : 0;
        o.y.f32()[row * C + c] = static_cast<float>((o.args.silu ? ref::silu(u) : u) + rest);
      }
    }
  });
}

// dv = du scale and dh = dv g lead to dx = factor (dh - x sum_c(dh x) / |x|^2).
void RefBackend::run(const op::RmsNormBackward& o) {
  const int64_t N = o.x.size(0), C = o.x.size(-1);
  const int64_t positions = o.x.elements() / std::max<int64_t>(N * C, 1);
  // [N, C]: sums over positions of du h and of du.
  std::vector<double> products(N * C), sums(N * C);
  parallel_for(N, ref::grain(64 * positions * C), [&](int64_t begin, int64_t end) {
    std::vector<double> dh(C);
    for (int64_t row = begin * positions; row < end * positions; ++row) {
      const int64_t n = row / positions;
      const float *x = o.x.f32() + row * C, *dy = o.dy.f32() + row * C;
      const Norm norm(x, C);
      const Film film(o.film, n, C);
      double inner = 0;
      for (int64_t c = 0; c < C; ++c) {
        const double h = x[c] * norm.factor, u = h * o.g.f32()[c] * film.scale(c) + film.shift(c);
        const double du = dy[c] * (o.args.silu ? ref::silu_slope(u) : 1);
        products[n * C + c] += du * h;
        sums[n * C + c] += du;
        dh[c] = du * film.scale(c) * o.g.f32()[c];
        inner += dh[c] * x[c];
      }
      for (int64_t c = 0; c < C; ++c) {
        o.dx.f32()[row * C + c] =
            static_cast<float>(norm.factor * (dh[c] - x[c] * inner * norm.inverse_square));
      }
    }
  });
  for (int64_t c = 0; c < C; ++c) {
    double sum = 0;
    for (int64_t n = 0; n < N; ++n) sum += products[n * C + c] * Film(o.film, n, C).scale(c);
    o.dg.f32()[c] = static_cast<float>(sum);
  }
  for (int64_t n = 0; o.dfilm && n < N; ++n) {
    float* row = o.dfilm->f32() + 2 * n * C;
    for (int64_t c = 0; c < C; ++c) {
      row[c] = static_cast<float>(products[n * C + c] * o.g.f32()[c]);
      row[C + c] = static_cast<float>(sums[n * C + c]);
    }
  }
}

}  // namespace ddpm
