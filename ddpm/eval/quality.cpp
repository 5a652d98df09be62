#include "ddpm/eval/quality.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/philox.h"
#include "ddpm/eval/frechet.h"
#include "ddpm/eval/kernel_distance.h"
#include "ddpm/eval/manifold.h"
#include "ddpm/eval/products.h"
#include "ddpm/eval/subset.h"

namespace ddpm {
namespace {

constexpr uint64_t kSeed = 0, kRealStream = 1000, kGeneratedStream = 1001;

void add_frechet(const Tensor& real, const Tensor& generated, const QualityOptions& options,
                 QualityFigures& figures) {
  const int64_t fewest = std::min(figures.n, figures.n_real), width = real.size(1);
  if (fewest < 2) {
    figures.warnings.push_back(
        fmt::format("no figures: {} generated and {} real pictures; at least 2 of each are needed",
                    figures.n, figures.n_real));
    return;
  }
  const char* set = figures.n <= figures.n_real ? "generated" : "real";
  if (fewest <= width) {
    if (!options.frechet_of_few) {
      figures.warnings.push_back(
          fmt::format("no Frechet distance: {} {} pictures are too few for {} features; at least "
                      "{} are needed",
                      fewest, set, width, width + 1));
      return;
    }
    figures.warnings.push_back(fmt::format(
        "the Frechet distance is too large: {} {} pictures do not determine the covariance of {} "
        "features; at least {} are needed, and ten times as many are good",
        fewest, set, width, width + 1));
  }
  const FeatureStatistics of_real = feature_statistics(real);
  const FeatureStatistics of_generated = feature_statistics(generated);
  figures.frechet = frechet_distance(of_real, of_generated);
  const struct {
    const char* name;
    int64_t constant;
  } sets[] = {{"real", of_real.constant_features()},
              {"generated", of_generated.constant_features()}};
  for (const auto& [name, constant] : sets) {
    // Some features of a network without any response are usual.
    if (constant * 2 < width) continue;
    figures.warnings.push_back(
        fmt::format("{} of {} features are the same in all {} pictures", constant, width, name));
  }
}

void add_manifold(const Tensor& real, const Tensor& generated, const QualityOptions& options,
                  QualityFigures& figures) {
  const int64_t count = std::min({figures.n, figures.n_real, options.most_manifold});
  if (count <= kManifoldNeighbours) {
    figures.warnings.push_back(fmt::format(
        "no precision, recall, density and coverage: {} generated and {} real pictures; at least "
        "{} of each are needed",
        figures.n, figures.n_real, kManifoldNeighbours + 1));
    return;
  }
  const auto some = [count](const Tensor& set, uint64_t stream) {
    if (set.size(0) == count) return set;
    return chosen_rows(set, random_subset(set.size(0), count, Philox(kSeed, stream)));
  };
  const ManifoldFigures got =
      manifold_figures(some(real, kRealStream), some(generated, kGeneratedStream));
  figures.precision = got.precision;
  figures.recall = got.recall;
  figures.density = got.density;
  figures.coverage = got.coverage;
  figures.n_manifold = count;
}

}  // namespace

QualityFigures quality_figures(const Tensor& real, const Tensor& generated,
                               const QualityOptions& options) {
  check_feature_sets("figures", real, generated, 0);
  QualityFigures figures{.n = generated.size(0), .n_real = real.size(0)};
  add_frechet(real, generated, options, figures);
  if (std::min(figures.n, figures.n_real) < 2) return figures;
  const KernelDistance kernel = kernel_distance(real, generated, kSeed);
  figures.kernel = kernel.value;
  figures.kernel_se = kernel.standard_error;
  add_manifold(real, generated, options, figures);
  return figures;
}

}  // namespace ddpm
