#include "ddpm/diffusion/sampler_options.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <string_view>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/diffusion/sampler_kind.h"
#include "ddpm/diffusion/spacing.h"

namespace ddpm {
namespace {

constexpr const char* kAuto = "auto";

std::vector<std::string> with_auto(std::vector<std::string> names) {
  names.insert(names.begin(), kAuto);
  return names;
}

// The names of the samplers for which `has` is true, for errors.
template <class Has>
std::string samplers_with(const Has& has) {
  std::vector<std::string> names;
  for (const SamplerKind& kind : sampler_kinds()) {
    if (has(kind)) names.emplace_back(kind.name);
  }
  return join_choices(names);
}

void check_order(const SamplerKind& kind, int64_t order) {
  if (order == 0) return;
  if (kind.most_order == 0) {
    fail_usage("sample",
               fmt::format("order is {}, but the sampler {} has only one; leave it out, or choose "
                           "{}",
                           order, kind.name,
                           samplers_with([](const SamplerKind& k) { return k.most_order > 0; })));
  }
  if (order < 1 || order > kind.most_order) {
    fail_usage("sample", fmt::format("order is {}; the sampler {} has the orders 1 to {}", order,
                                     kind.name, kind.most_order));
  }
}

void check_eta(const SamplerKind& kind, double eta) {
  if (eta == -1) return;
  if (!(eta >= 0 && eta <= 1))
    fail_usage("sample", fmt::format("eta is {}; it must lie between 0 and 1", eta));
  if (eta != 0 && !kind.eta) {
    fail_usage(
        "sample",
        fmt::format("eta is {}, but the sampler {} has none; use 0, or the sampler {}", eta,
                    kind.name, samplers_with([](const SamplerKind& k) { return bool(k.eta); })));
  }
}

// The highest numbers of a churn. EDM uses up to 80, 0.05, 50 and 1.007.
constexpr double kMostChurn = 1e6, kMostRatio = 1e6, kMostChurnNoise = 10;

void check_churn(const Churn& churn, const std::string& text) {
  const auto check = [&](const char* name, double value, double lowest, double highest,
                         const char* or_else) {
    if (value >= lowest && value <= highest) return;
    fail_usage("sample", fmt::format("{} of churn '{}' is {}; it must be {} to {}{}", name, text,
                                     value, lowest, highest, or_else));
  };
  check("S", churn.amount, 0, kMostChurn, "; 40 is usual");
  check("MIN", churn.lowest, 0, kMostRatio, "; 0.05 is usual");
  if (!(std::isinf(churn.highest) && churn.highest > 0))
    check("MAX", churn.highest, churn.lowest, kMostRatio, ", or inf; 50 is usual");
  check("NOISE", churn.noise, 0, kMostChurnNoise, "; 1 to 1.01 is usual");
}

}  // namespace

Churn parse_churn(const std::string& text) {
  Churn churn;
  if (text.empty()) return churn;
  double* const values[] = {&churn.amount, &churn.lowest, &churn.highest, &churn.noise};
  const auto fail_text = [&] {
    fail_usage("sample", fmt::format("churn is '{}'; give S or S,MIN,MAX,NOISE, such as "
                                     "40,0.05,50,1.003",
                                     text));
  };
  size_t count = 0;
  std::string_view rest = text;
  for (bool more = true; more; ++count) {
    const size_t comma = rest.find(',');
    const std::string_view word = rest.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) rest.remove_prefix(comma + 1);
    if (count >= 4) fail_text();
    const char* const end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, *values[count]);
    if (error != std::errc() || stop != end) fail_text();
  }
  if (count != 1 && count != 4) fail_text();
  check_churn(churn, text);
  return churn;
}

void SamplerOptions::fields(Fields& field) {
  constexpr double kMany = 1'000'000;
  field("sampler", sampler, "how noise becomes a picture, see below")
      .choices("sampler", with_auto(sampler_names()));
  field("steps", steps, "evaluations of the network for each picture; more take longer")
      .range(0, kMany)
      .default_text("the sampler's own");
  field("order", order, "order of a sampler that has a choice").default_text("the sampler's own");
  field("eta", eta, "noise that is added between the levels: 0 none, 1 as much as ddpm")
      .default_text("the sampler's own");
  field("churn", churn,
        "for heun and euler: noise that is added before an evaluation, where MIN <= sigma / alpha "
        "<= MAX")
      .value_name("S,MIN,MAX,NOISE")
      .default_text("none");
  field("spacing", spacing, "the levels of noise at which the network is evaluated, see below")
      .choices("spacing", with_auto(spacing_names()));
  field("clip", clip,
        "what happens to estimates outside the range of pictures: static cuts them off, dynamic "
        "scales the picture, none keeps them")
      .choices("clip", {"static", "dynamic", "none"});
}

void SamplerOptions::check() const {
  check_options("sample", *this, "--");
  const SamplerKind& kind = find_sampler(sampler == kAuto ? kDefaultSampler : sampler);
  check_order(kind, order);
  check_eta(kind, eta);
  if (parse_churn(churn).amount > 0 && !kind.has_churn) {
    fail_usage(
        "sample",
        fmt::format("churn is {}, but the sampler {} has none; leave it out, or choose {}", churn,
                    kind.name, samplers_with([](const SamplerKind& k) { return k.has_churn; })));
  }
}

}  // namespace ddpm
