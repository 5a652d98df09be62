#include "ddpm/diffusion/training/strata.h"

#include <numeric>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"

namespace ddpm {
namespace {

// Keeps these numbers apart from the levels that are drawn one by one with the same seed.
constexpr uint64_t kStrataStream = 0x737472617461;

}  // namespace

std::vector<double> stratified_quantiles(uint64_t seed, const ImageRange& batch,
                                         const ImageRange& part) {
  DDPM_CHECK(batch.count >= 0 && part.count >= 0 && part.first >= batch.first &&
             part.first - batch.first + static_cast<uint64_t>(part.count) <=
                 static_cast<uint64_t>(batch.count));
  const Philox random(mix_seed(seed, kStrataStream), batch.first);
  const auto count = static_cast<size_t>(batch.count);
  std::vector<size_t> stratum(count);
  std::iota(stratum.begin(), stratum.end(), size_t{0});
  // The Fisher-Yates shuffle. Position 0 is that of u.
  for (size_t i = count; i-- > 1;) std::swap(stratum[i], stratum[random.below(i + 1, i)]);
  const double u = (random.bits(0) + 0.5) * 0x1p-32;
  std::vector<double> quantiles(static_cast<size_t>(part.count));
  for (size_t n = 0; n < quantiles.size(); ++n) {
    const size_t own = stratum[part.first - batch.first + n];
    quantiles[n] = (u + static_cast<double>(own)) / static_cast<double>(count);
  }
  return quantiles;
}

}  // namespace ddpm
