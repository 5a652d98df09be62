#include "ddpm/eval/copies.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "ddpm/base/hash.h"
#include "ddpm/eval/products.h"

namespace ddpm {
namespace {

constexpr double kCopy = 1.0 / 3;

// Whether all rows of [N, D] are the same.
bool all_equal(const Tensor& features) {
  const int64_t width = features.size(1);
  const float* first = features.f32();
  for (int64_t n = 1; n < features.size(0); ++n) {
    if (!std::equal(first, first + width, first + n * width)) return false;
  }
  return true;
}

}  // namespace

NearCopies near_copies(const Tensor& generated, const Tensor& real) {
  check_feature_sets("near copies", generated, real, 1);
  check_feature_sets("near copies", real, real, kFewestForCopies);
  constexpr int64_t k = kFewestForCopies;
  NearCopies result{.neighbours = nearest(generated, real, k)};
  // A picture that is there k times has k neighbours without a distance, and its copies are copies.
  // Where all are equal there is nothing to learn.
  const double of_none = all_equal(real) ? 1 : 0;
  for (int64_t i = 0; i < generated.size(0); ++i) {
    double mean = 0;
    for (int64_t place = 1; place < k; ++place)
      mean += result.neighbours.distance(i, place) / static_cast<double>(k - 1);
    result.ratios.push_back(mean > 0 ? result.neighbours.distance(i, 0) / mean : of_none);
  }
  return result;
}

bool NearCopies::is_copy(int64_t i) const { return ratios[static_cast<size_t>(i)] < kCopy; }

double NearCopies::share() const {
  const auto copies =
      std::count_if(ratios.begin(), ratios.end(), [](double ratio) { return ratio < kCopy; });
  return static_cast<double>(copies) / static_cast<double>(ratios.size());
}

std::vector<int64_t> NearCopies::closest(int64_t count) const {
  std::vector<int64_t> order(ratios.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [this](int64_t a, int64_t b) {
    return ratios[static_cast<size_t>(a)] < ratios[static_cast<size_t>(b)];
  });
  order.resize(std::min(order.size(), static_cast<size_t>(count)));
  return order;
}

void DuplicateCounter::add(const Tensor& pictures) {
  const auto bytes =
      static_cast<size_t>(pictures.elements() / std::max<int64_t>(pictures.size(0), 1));
  const auto* data = reinterpret_cast<const char*>(pictures.u8());
  for (int64_t n = 0; n < pictures.size(0); ++n, data += bytes) {
    if (!hashes_.insert(hash_hex(std::string_view(data, bytes))).second) ++duplicates_;
  }
}

}  // namespace ddpm
