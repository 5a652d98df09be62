// Two passes. The first computes the statistics. The second applies normalisation, FiLM and SiLU as
// a single affine map for each channel and image, mostly while the image is still in the cache. The
// backward pass also takes two passes over dy and x. It computes again what the forward pass did
// instead of storing it. Statistics are computed for each channel and block of positions first, so
// that the number of channels in a group does not matter. They are merged in double in a fixed
// order.
#include "ddpm/kernels/cpu/norm/group_norm.h"

#include <algorithm>
#include <cmath>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/norm/column_norm.h"
#include "ddpm/kernels/cpu/work/phases.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kApplyCost = 8;  // of an element, in multiply-adds

struct Extents {
  explicit Extents(const GroupNorm& norm)
      : images(norm.images),
        channels(norm.channels),
        positions(norm.positions),
        groups(norm.groups),
        width(channels / groups),
        block(column_block_rows(channels)),
        blocks(ceil_div(positions, block)) {}
  int64_t rows(int64_t b) const { return std::min(block, positions - b * block); }
  // Where block b of image n begins.
  int64_t at(int64_t n, int64_t b) const { return (n * positions + b * block) * channels; }
  double count() const { return static_cast<double>(positions * width); }
  int64_t elements() const { return images * positions * channels; }

  int64_t images, channels, positions, groups, width, block, blocks;
};

// A channel of an image: v = (x - mean) rstd gamma + beta, u = v scale + shift.
struct Film {
  const float* scales = nullptr;  // [channels] and then as many shifts, or null
  int64_t channels = 0;
  double scale(int64_t c) const { return scales ? double{scales[c]} + 1 : 1; }
  double shift(int64_t c) const { return scales ? scales[channels + c] : 0; }
};
Film film_of(const float* film, int64_t channels, int64_t n) {
  return {film ? film + n * 2 * channels : nullptr, channels};
}

// The forward pass as one affine map per channel and image: map [3, C] of mean, scale and shift.
void make_affine(const Extents& e, int64_t n, const GroupNormWeights& w, const float* mean,
                 const float* rstd, float* map) {
  const Film f = film_of(w.film, e.channels, n);
  const float *means = mean + n * e.groups, *rstds = rstd + n * e.groups;
  for (int64_t c = 0; c < e.channels; ++c) {
    const int64_t g = c / e.width;
    map[c] = means[g];
    map[e.channels + c] = static_cast<float>(rstds[g] * w.gamma[c] * f.scale(c));
    map[2 * e.channels + c] = static_cast<float>(w.beta[c] * f.scale(c) + f.shift(c));
  }
}

ColumnAffine affine_at(const float* map, int64_t channels) {
  return {map, map + channels, map + 2 * channels};
}

}  // namespace

void group_norm(const GroupNorm& norm, const float* x, const GroupNormWeights& weights,
                const float* residual, float* y, float* mean, float* rstd) {
  const Extents e(norm);
  const int64_t C = e.channels;
  Scratch<double> moments(e.images * e.blocks * 2 * C);
  Scratch<> affines(e.images * 3 * C);
  const auto moments_of = [&](int64_t n, int64_t b) {
    return moments.data() + (n * e.blocks + b) * 2 * C;
  };

  const auto reduce = [&](int64_t n, int64_t b) {
    double* to_moments = moments_of(n, b);
    column_moments(x + e.at(n, b), e.rows(b), C, to_moments, to_moments + C);
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
      const double spread = squares / e.count() + norm.eps;
      mean[n * e.groups + g] = static_cast<float>(m);
      rstd[n * e.groups + g] = static_cast<float>(spread == 0 ? 0 : 1 / std::sqrt(spread));
    }
    make_affine(e, n, weights, mean, rstd, affines.data() + n * 3 * C);
  };
  const auto apply = [&](int64_t n, int64_t b) {
    normalize_columns(norm.silu, x + e.at(n, b), e.rows(b), C,
                      affine_at(affines.data() + n * 3 * C, C),
                      residual ? residual + e.at(n, b) : nullptr, y + e.at(n, b));
  };
  for_each_image_in_phases(e.images, e.blocks, e.elements(), reduce, merge, apply);
}

void group_norm_again(const GroupNorm& norm, const float* x, const GroupNormWeights& weights,
                      const float* mean, const float* rstd, float* y) {
  const Extents e(norm);
  const int64_t C = e.channels;
  Scratch<> affines(e.images * 3 * C);
  for (int64_t n = 0; n < e.images; ++n) {
    make_affine(e, n, weights, mean, rstd, affines.data() + n * 3 * C);
  }
  for_each_task(e.images * e.blocks, kApplyCost * e.elements(), [&](int64_t task) {
    const int64_t n = task / e.blocks, b = task % e.blocks;
    normalize_columns(norm.silu, x + e.at(n, b), e.rows(b), C,
                      affine_at(affines.data() + n * 3 * C, C), nullptr, y + e.at(n, b));
  });
}

// With h = (x - mean) rstd, u = (h gamma + beta) scale + shift and du = dy act'(u), the gradient of
// a channel is dx = rstd (dh - average(dh) - h average(dh h)), dh = du scale gamma, averages over
// the group: an affine map of du and x again.
void group_norm_backward(const GroupNorm& norm, const float* dy, const float* x,
                         const GroupNormWeights& weights, const float* mean, const float* rstd,
                         const GroupNormGradients& gradients) {
  const Extents e(norm);
  const int64_t C = e.channels;
  const float *gamma = weights.gamma, *beta = weights.beta;
  float *dx = gradients.dx, *dfilm = gradients.dfilm;
  Scratch<> sums(e.images * e.blocks * 2 * C);
  Scratch<> maps(e.images * 5 * C);
  // Per image and channel: sums over positions of dv and of dv h, v = h gamma + beta.
  Scratch<double> totals(e.images * 2 * C);
  const auto map_of = [&](int64_t n) { return maps.data() + n * 5 * C; };
  const auto affine_of = [&](int64_t n) { return affine_at(map_of(n), C); };

  // The affine map is needed before the first pass.
  parallel_for(e.images, ceil_div(kSerialElements, C), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      make_affine(e, n, weights, mean, rstd, map_of(n));
    }
  });
  const auto reduce = [&](int64_t n, int64_t b) {
    float* to_sums = sums.data() + (n * e.blocks + b) * 2 * C;
    gradient_sums(norm.silu, dy + e.at(n, b), x + e.at(n, b), e.rows(b), C, affine_of(n),
                  dx + e.at(n, b), to_sums, to_sums + C);
  };
  const auto merge = [&](int64_t n) {
    const Film f = film_of(weights.film, C, n);
    float* map = map_of(n);
    double* total = totals.data() + n * 2 * C;
    for (int64_t g = 0; g < e.groups; ++g) {
      const double r = rstd[n * e.groups + g];
      double average = 0, slope = 0;
      for (int64_t c = g * e.width; c < (g + 1) * e.width; ++c) {
        double du = 0, duh = 0;
        for (int64_t b = 0; b < e.blocks; ++b) {
          const float* block_sums = sums.data() + (n * e.blocks + b) * 2 * C;
          du += block_sums[c];
          duh += block_sums[C + c];
        }
        duh *= r;
        if (dfilm) {
          dfilm[n * 2 * C + c] = static_cast<float>(duh * gamma[c] + du * beta[c]);
          dfilm[n * 2 * C + C + c] = static_cast<float>(du);
        }
        total[c] = du * f.scale(c);
        total[C + c] = duh * f.scale(c);
        average += total[c] * gamma[c];
        slope += total[C + c] * gamma[c];
      }
      for (int64_t c = g * e.width; c < (g + 1) * e.width; ++c) {
        map[3 * C + c] = static_cast<float>(-r * r * slope / e.count());
        map[4 * C + c] = static_cast<float>(-r * average / e.count());
      }
    }
  };
  const auto apply = [&](int64_t n, int64_t b) {
    const float *map = map_of(n), *du = (norm.silu ? dx : dy) + e.at(n, b);
    normalize_gradient(du, x + e.at(n, b), e.rows(b), C, affine_of(n), map + 3 * C, map + 4 * C,
                       dx + e.at(n, b));
  };
  for_each_image_in_phases(e.images, e.blocks, e.elements(), reduce, merge, apply);

  for (int64_t c = 0; c < C; ++c) {
    double dv = 0, dvh = 0;
    for (int64_t n = 0; n < e.images; ++n) {
      dv += totals.data()[n * 2 * C + c];
      dvh += totals.data()[n * 2 * C + C + c];
    }
    gradients.dbeta[c] = static_cast<float>(dv);
    gradients.dgamma[c] = static_cast<float>(dvh);
  }
}

}  // namespace ddpm::cpu
