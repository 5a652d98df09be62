// Group normalisation, FiLM and SiLU by their formulas, one (image, group) after the other.
// With h = (x - mean) rstd, v = h gamma + beta, u = v (scale + 1) + shift, y = act(u).

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"
#include "ddpm/kernels/ref/scalar_functions.h"

namespace ddpm {

void RefBackend::run(const op::GroupNorm& o) {
  const int64_t N = o.x.size(0), C = o.x.size(-1), G = o.args.groups, width = C / G;
  const int64_t positions = o.x.elements() / std::max<int64_t>(N * C, 1);
  const double count = static_cast<double>(positions * width);
  const float* from = o.x.f32();
  float *means = o.mean.f32(), *rstds = o.rstd.f32();
  parallel_for(N * G, ref::grain(32 * positions * width), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const float* in = from + item / G * positions * C + item % G * width;
      double m = 0, variance = 0;
      for (int64_t p = 0; p < positions; ++p) {
        for (int64_t c = 0; c < width; ++c) m += in[p * C + c];
      }
      m /= count;
      for (int64_t p = 0; p < positions; ++p) {
        for (int64_t c = 0; c < width; ++c) variance += (in[p * C + c] - m) * (in[p * C + c] - m);
      }
      const double spread = variance / count + o.args.eps;
      means[item] = static_cast<float>(m);
      rstds[item] = static_cast<float>(spread == 0 ? 0 : 1 / std::sqrt(spread));
    }
  });
  run(op::GroupNormAgain{.args = o.args,
                         .x = o.x,
                         .gamma = o.gamma,
                         .beta = o.beta,
                         .film = o.film,
                         .mean = o.mean,
                         .rstd = o.rstd,
                         .y = o.y});
  if (o.residual) run(op::Add{.a = o.y, .b = *o.residual, .y = o.y});
}

void RefBackend::run(const op::GroupNormAgain& o) {
  const int64_t N = o.x.size(0), C = o.x.size(-1), G = o.args.groups, width = C / G;
  const int64_t positions = o.x.elements() / std::max<int64_t>(N * C, 1);
  const float *from = o.x.f32(), *ga = o.gamma.f32(), *be = o.beta.f32();
  const float* fi = o.film ? o.film->f32() : nullptr;
  const float *means = o.mean.f32(), *rstds = o.rstd.f32();
  float* to = o.y.f32();
  parallel_for(N * G, ref::grain(32 * positions * width), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t n = item / G, first = item % G * width;
      const float* in = from + n * positions * C + first;
      float* out = to + n * positions * C + first;
      for (int64_t p = 0; p < positions; ++p) {
        for (int64_t c = 0; c < width; ++c) {
          const int64_t channel = first + c;
          double u =
              (double{in[p * C + c]} - means[item]) * rstds[item] * ga[channel] + be[channel];
          if (fi) {
            u = u * (double{fi[n * 2 * C + channel]} + 1) + fi[n * 2 * C + C + channel];
          }
          out[p * C + c] = static_cast<float>(o.args.silu ? ref::silu(u) : u);
        }
      }
    }
  });
}

void RefBackend::run(const op::GroupNormBackward& o) {
  const int64_t N = o.x.size(0), C = o.x.size(-1), G = o.args.groups, width = C / G;
  const int64_t positions = o.x.elements() / std::max<int64_t>(N * C, 1);
  const double count = static_cast<double>(positions * width);
  const float *grad = o.dy.f32(), *from = o.x.f32(), *ga = o.gamma.f32(), *be = o.beta.f32();
  const float* fi = o.film ? o.film->f32() : nullptr;
  const float *means = o.mean.f32(), *rstds = o.rstd.f32();
  float *to = o.dx.f32(), *dfi = o.dfilm ? o.dfilm->f32() : nullptr;
  // Per image and channel, as every image is a task of its own: sums of du and of du h.
  std::vector<double> du_sum(N * C), duh_sum(N * C);
  parallel_for(N * G, ref::grain(32 * positions * width), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t n = item / G, first = item % G * width;
      const double m = means[item], r = rstds[item];
      const auto scale = [&](int64_t c) { return fi ? double{fi[n * 2 * C + c]} + 1 : 1; };
      const auto shift = [&](int64_t c) { return fi ? double{fi[n * 2 * C + C + c]} : 0; };
      const auto h_at = [&](int64_t p, int64_t c) {
        return (from[(n * positions + p) * C + c] - m) * r;
      };
      const auto du_at = [&](int64_t p, int64_t c) {
        const double u = (h_at(p, c) * ga[c] + be[c]) * scale(c) + shift(c);
        return grad[(n * positions + p) * C + c] * (o.args.silu ? ref::silu_slope(u) : 1.0);
      };
      double average = 0, slope = 0;  // of dh and of dh h over the group
      for (int64_t c = first; c < first + width; ++c) {
        double du = 0, duh = 0;
        for (int64_t p = 0; p < positions; ++p) {
          const double here = du_at(p, c);
          du += here;
          duh += here * h_at(p, c);
        }
        du_sum[n * C + c] = du;
        duh_sum[n * C + c] = duh;
        average += du * scale(c) * ga[c] / count;
        slope += duh * scale(c) * ga[c] / count;
        if (dfi) {
          dfi[n * 2 * C + c] = static_cast<float>(duh * ga[c] + du * be[c]);
          dfi[n * 2 * C + C + c] = static_cast<float>(du);
        }
      }
      for (int64_t p = 0; p < positions; ++p) {
        for (int64_t c = first; c < first + width; ++c) {
          const double dh = du_at(p, c) * scale(c) * ga[c];
          to[(n * positions + p) * C + c] =
              static_cast<float>(r * (dh - average - h_at(p, c) * slope));
        }
      }
    }
  });
  float *dga = o.dgamma.f32(), *dbe = o.dbeta.f32();
  for (int64_t c = 0; c < C; ++c) {
    double dg = 0, db = 0;
    for (int64_t n = 0; n < N; ++n) {
      const double scale = fi ? double{fi[n * 2 * C + c]} + 1 : 1;
      dg += duh_sum[n * C + c] * scale;
      db += du_sum[n * C + c] * scale;
    }
    dga[c] = static_cast<float>(dg);
    dbe[c] = static_cast<float>(db);
  }
}

}  // namespace ddpm
