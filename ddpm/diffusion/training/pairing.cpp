#include "ddpm/diffusion/training/pairing.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "ddpm/base/error.h"
#include "ddpm/base/named_rows.h"
#include "ddpm/base/threads.h"
#include "ddpm/diffusion/training/assignment.h"

namespace ddpm {
namespace {

struct NamedPairing {
  const char* name;
  Pairing pairing;
};
const std::vector<NamedPairing>& pairings() {
  static const std::vector<NamedPairing> rows = {
      {"none", Pairing::kNone},
      {"immiscible", Pairing::kImmiscible},
      {"ot", Pairing::kOptimalTransport},
  };
  return rows;
}

// In double. The order of the sum does not depend on the threads; eight partial sums let the
// compiler use vectors.
double squared_distance(const float* a, const float* b, int64_t elements) {
  constexpr int kLanes = 8;
  double sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= elements; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const double difference = double{a[i + lane]} - double{b[i + lane]};
      sums[lane] += difference * difference;
    }
  }
  for (; i < elements; ++i) sums[0] += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return std::accumulate(sums, sums + kLanes, 0.0);
}

using Indices = std::vector<int64_t>;

// [members, members]: from each image to each noise.
std::vector<double> costs_between(Pairing pairing, const Tensor& images, const Tensor& noise,
                                  const Indices& members) {
  constexpr double kVeryFar = 1e30;
  const auto n = static_cast<int64_t>(members.size());
  const int64_t elements = images.elements() / images.size(0);
  std::vector<double> costs(static_cast<size_t>(n * n));
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const double squared = squared_distance(images.f32() + members[i] * elements,
                                                noise.f32() + members[j] * elements, elements);
        const double cost = pairing == Pairing::kImmiscible ? std::sqrt(squared) : squared;
        costs[i * n + j] = std::isfinite(cost) ? cost : kVeryFar;
      }
    }
  });
  return costs;
}

// The values of row n of each of `told`.
std::string bytes_told(const std::vector<Tensor>& told, int64_t n) {
  std::string bytes;
  for (const Tensor& tensor : told) {
    if (!tensor.defined()) continue;
    const auto size = static_cast<size_t>(tensor.elements() / tensor.size(0)) * sizeof(float);
    const auto* values = reinterpret_cast<const char*>(tensor.f32());
    bytes.append(values + static_cast<size_t>(n) * size, size);
  }
  return bytes;
}

}  // namespace

std::vector<std::string> pairing_names() { return names_of(pairings()); }

Pairing find_pairing(std::string_view name) {
  return find_by_name(pairings(), name, "process", "pairing").pairing;
}

std::vector<int64_t> paired_noise(Pairing pairing, const Tensor& images, const Tensor& noise,
                                  const std::vector<int64_t>& sets) {
  const int64_t count = images.size(0);
  DDPM_CHECK(noise.shape() == images.shape());
  DDPM_CHECK(sets.empty() || static_cast<int64_t>(sets.size()) == count);
  Indices order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  if (pairing == Pairing::kNone) return order;
  std::map<int64_t, Indices> members;
  for (int64_t n = 0; n < count; ++n) members[sets.empty() ? 0 : sets[n]].push_back(n);
  for (const auto& [set, all] : members) {
    for (auto begin = all.begin(); begin != all.end();) {
      const auto end = begin + std::min<int64_t>(all.end() - begin, kMostPaired);
      const Indices some(begin, end);
      begin = end;
      if (some.size() == 1) continue;
      const Indices chosen = least_cost_assignment(costs_between(pairing, images, noise, some),
                                                   static_cast<int64_t>(some.size()));
      for (size_t i = 0; i < some.size(); ++i) order[some[i]] = some[chosen[i]];
    }
  }
  return order;
}

std::vector<int64_t> sets_told_apart(const std::vector<Tensor>& told, int64_t images) {
  for (const Tensor& tensor : told) DDPM_CHECK(!tensor.defined() || tensor.size(0) == images);
  std::map<std::string, int64_t> first;
  std::vector<int64_t> sets(static_cast<size_t>(images));
  for (int64_t n = 0; n < images; ++n)
    sets[n] = first.emplace(bytes_told(told, n), n).first->second;
  return sets;
}

}  // namespace ddpm
