// Group normalisation with FiLM and SiLU: one pass for the statistics and one that applies all of
// it as a single affine map per channel and image, mostly with the image still in the cache;
// backward likewise two passes over dy and x, recomputing what the forward pass did instead of
// storing it. Statistics are per channel and block of positions first (any number of channels per
// group then costs the same), merged in double in a fixed order.

#include <algorithm>
#include <cmath>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/column_norm.h"
#include "ddpm/kernels/cpu/cpu_backend.h"
#include "ddpm/kernels/cpu/phases.h"
#include "ddpm/kernels/cpu/tasks.h"

namespace ddpm {
namespace {

using cpu::ColumnAffine;

constexpr int64_t kApplyCost = 8;  // of an element, in multiply-adds

struct Extents {
  Extents(const Tensor& x, const NormArgs& args)
      : images(x.size(0)),
        channels(x.size(-1)),
        positions(x.elements() / std::max<int64_t>(images * channels, 1)),
        groups(args.groups),
        width(channels / args.groups),
        block(cpu::column_block_rows(channels)),
        blocks(cpu::ceil_div(positions, block)) {}
  int64_t rows(int64_t b) const { return std::min(block, positions - b * block); }
  // Where block b of image n begins.
  int64_t at(int64_t n, int64_t b) const { return (n * positions + b * block) * channels; }
  double count() const { return static_cast<double>(positions * width); }

  int64_t images, channels, positions, groups, width, block, blocks;
};

// What a channel of an image meets: v = (x - mean) rstd gamma + beta, u = v scale + shift.
struct Film {
  const float* scales = nullptr;  // [channels] and then as many shifts, or null
  int64_t channels = 0;
  double scale(int64_t c) const { return scales ? double{scales[c]} + 1 : 1; }
  double shift(int64_t c) const { return scales ? scales[channels + c] : 0; }
};
Film film_of(const Tensor* film, int64_t channels, int64_t n) {
  return {film ? film->f32() + n * 2 * channels : nullptr, channels};
}

// The forward pass as one affine map per channel and image: map [3, C] of mean, scale and shift.
void make_affine(const Extents& e, int64_t n, const Tensor& gamma, const Tensor& beta,
                 const Tensor* film, const Tensor& mean, const Tensor& rstd, float* map) {
  const Film f = film_of(film, e.channels, n);
  const float *ga = gamma.f32(), *be = beta.f32();
  const float *means = mean.f32() + n * e.groups, *rstds = rstd.f32() + n * e.groups;
  for (int64_t c = 0; c < e.channels; ++c) {
    const int64_t g = c / e.width;
    map[c] = means[g];
    map[e.channels + c] = static_cast<float>(rstds[g] * ga[c] * f.scale(c));
    map[2 * e.channels + c] = static_cast<float>(be[c] * f.scale(c) + f.shift(c));
  }
}

ColumnAffine affine_at(const float* map, int64_t channels) {
  return {map, map + channels, map + 2 * channels};
}

}  // namespace

void CpuBackend::group_norm(const NormArgs& args, const Tensor& x, const Tensor& gamma,
                            const Tensor& beta, const Tensor* film, const Tensor* residual,
                            Tensor& y, Tensor& mean, Tensor& rstd) {
  const Extents e(x, args);
  const int64_t C = e.channels;
  const float *from = x.f32(), *rest = residual ? residual->f32() : nullptr;
  float *to = y.f32(), *means = mean.f32(), *rstds = rstd.f32();
  cpu::Scratch moments(e.images * e.blocks * 2 * C * static_cast<int64_t>(sizeof(double)));
  cpu::Scratch affines(e.images * 3 * C * static_cast<int64_t>(sizeof(float)));
  const auto moments_of = [&](int64_t n, int64_t b) {
    return moments.as<double>() + (n * e.blocks + b) * 2 * C;
  };

  const auto reduce = [&](int64_t n, int64_t b) {
    double* to_moments = moments_of(n, b);
    cpu::column_moments(from + e.at(n, b), e.rows(b), C, to_moments, to_moments + C);
  };
  const auto merge = [&](int64_t n) {
    for (int64_t g = 0; g < e.groups; ++g) {
      const int64_t first = g * e.width, last = first + e.width;
      double m = 0, squares = 0;
      for (int64_t b = 0; b < e.blocks; ++b) {
        const double* means_here = moments_of(n, b);
        double sum = 0;
        for (int64_t c = first; c < last; ++c) sum += means_here[c];
        m += sum * static_cast<double>(e.rows(b));
      }
      m /= e.count();
      for (int64_t b = 0; b < e.blocks; ++b) {
        const double *means_here = moments_of(n, b), *squares_here = means_here + C;
        double within = 0, between = 0;
        for (int64_t c = first; c < last; ++c) {
          within += squares_here[c];
          between += (means_here[c] - m) * (means_here[c] - m);
        }
        squares += within + between * static_cast<double>(e.rows(b));
      }
      const double spread = squares / e.count() + args.eps;
      means[n * e.groups + g] = static_cast<float>(m);
      rstds[n * e.groups + g] = static_cast<float>(spread == 0 ? 0 : 1 / std::sqrt(spread));
    }
    make_affine(e, n, gamma, beta, film, mean, rstd, affines.as<float>() + n * 3 * C);
  };
  const auto apply = [&](int64_t n, int64_t b) {
    cpu::normalize_columns(args.silu, from + e.at(n, b), e.rows(b), C,
                           affine_at(affines.as<float>() + n * 3 * C, C),
                           rest ? rest + e.at(n, b) : nullptr, to + e.at(n, b));
  };
  cpu::for_each_image_in_phases(e.images, e.blocks, x.elements(), reduce, merge, apply);
}

void CpuBackend::group_norm_again(const NormArgs& args, const Tensor& x, const Tensor& gamma,
                                  const Tensor& beta, const Tensor* film, const Tensor& mean,
                                  const Tensor& rstd, Tensor& y) {
  const Extents e(x, args);
  const int64_t C = e.channels;
  const float* from = x.f32();
  float* to = y.f32();
  cpu::Scratch affines(e.images * 3 * C * static_cast<int64_t>(sizeof(float)));
  for (int64_t n = 0; n < e.images; ++n) {
    make_affine(e, n, gamma, beta, film, mean, rstd, affines.as<float>() + n * 3 * C);
  }
  cpu::for_each_task(e.images * e.blocks, kApplyCost * x.elements(), [&](int64_t task) {
    const int64_t n = task / e.blocks, b = task % e.blocks;
    cpu::normalize_columns(args.silu, from + e.at(n, b), e.rows(b), C,
                           affine_at(affines.as<float>() + n * 3 * C, C), nullptr, to + e.at(n, b));
  });
}

// With h = (x - mean) rstd, u = (h gamma + beta) scale + shift and du = dy act'(u), the gradient of
// a channel is dx = rstd (dh - average(dh) - h average(dh h)), dh = du scale gamma, averages over
// the group: an affine map of du and x again.
void CpuBackend::group_norm_backward(const NormArgs& args, const Tensor& dy, const Tensor& x,
                                     const Tensor& gamma, const Tensor& beta, const Tensor* film,
                                     const Tensor& mean, const Tensor& rstd, Tensor& dx,
                                     Tensor& dgamma, Tensor& dbeta, Tensor* dfilm) {
  const Extents e(x, args);
  const int64_t C = e.channels;
  const float *grad = dy.f32(), *from = x.f32(), *ga = gamma.f32(), *be = beta.f32();
  const float* rstds = rstd.f32();
  float *to = dx.f32(), *dfi = dfilm ? dfilm->f32() : nullptr;
  cpu::Scratch sums(e.images * e.blocks * 2 * C * static_cast<int64_t>(sizeof(float)));
  cpu::Scratch maps(e.images * 5 * C * static_cast<int64_t>(sizeof(float)));
  // Per image and channel: sums over positions of dv and of dv h, v = h gamma + beta.
  cpu::Scratch totals(e.images * 2 * C * static_cast<int64_t>(sizeof(double)));
  const auto map_of = [&](int64_t n) { return maps.as<float>() + n * 5 * C; };
  const auto affine_of = [&](int64_t n) { return affine_at(map_of(n), C); };

  // The affine map is needed before the first pass.
  parallel_for(e.images, cpu::ceil_div(cpu::kSerialElements, C), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      make_affine(e, n, gamma, beta, film, mean, rstd, map_of(n));
    }
  });
  const auto reduce = [&](int64_t n, int64_t b) {
    float* to_sums = sums.as<float>() + (n * e.blocks + b) * 2 * C;
    cpu::gradient_sums(args.silu, grad + e.at(n, b), from + e.at(n, b), e.rows(b), C, affine_of(n),
                       to + e.at(n, b), to_sums, to_sums + C);
  };
  const auto merge = [&](int64_t n) {
    const Film f = film_of(film, C, n);
    float* map = map_of(n);
    double* total = totals.as<double>() + n * 2 * C;
    for (int64_t g = 0; g < e.groups; ++g) {
      const double r = rstds[n * e.groups + g];
      double average = 0, slope = 0;
      for (int64_t c = g * e.width; c < (g + 1) * e.width; ++c) {
        double du = 0, duh = 0;
        for (int64_t b = 0; b < e.blocks; ++b) {
          const float* block_sums = sums.as<float>() + (n * e.blocks + b) * 2 * C;
          du += block_sums[c];
          duh += block_sums[C + c];
        }
        duh *= r;
        if (dfi) {
          dfi[n * 2 * C + c] = static_cast<float>(duh * ga[c] + du * be[c]);
          dfi[n * 2 * C + C + c] = static_cast<float>(du);
        }
        total[c] = du * f.scale(c);
        total[C + c] = duh * f.scale(c);
        average += total[c] * ga[c];
        slope += total[C + c] * ga[c];
      }
      for (int64_t c = g * e.width; c < (g + 1) * e.width; ++c) {
        map[3 * C + c] = static_cast<float>(-r * r * slope / e.count());
        map[4 * C + c] = static_cast<float>(-r * average / e.count());
      }
    }
  };
  const auto apply = [&](int64_t n, int64_t b) {
    const float *map = map_of(n), *du = (args.silu ? to : grad) + e.at(n, b);
    cpu::normalize_gradient(du, from + e.at(n, b), e.rows(b), C, affine_of(n), map + 3 * C,
                            map + 4 * C, to + e.at(n, b));
  };
  cpu::for_each_image_in_phases(e.images, e.blocks, x.elements(), reduce, merge, apply);

  float *dga = dgamma.f32(), *dbe = dbeta.f32();
  for (int64_t c = 0; c < C; ++c) {
    double dv = 0, dvh = 0;
    for (int64_t n = 0; n < e.images; ++n) {
      dv += totals.as<double>()[n * 2 * C + c];
      dvh += totals.as<double>()[n * 2 * C + C + c];
    }
    dbe[c] = static_cast<float>(dv);
    dga[c] = static_cast<float>(dvh);
  }
}

}  // namespace ddpm
