#include "ddpm/nn/lucidrains/options.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/nn/checks.h"
#include "ddpm/nn/unet/recognise.h"

namespace ddpm::lucidrains {
namespace {

// Throws UsageError if the given numbers, or one for all levels, differ from the known ones.
void check_given(const JsonObject& given, const char* name, const std::vector<int64_t>& known,
                 int64_t levels) {
  const std::string* json = given.find(name);
  if (json == nullptr) return;
  std::vector<int64_t> told;
  json_value::read(json->starts_with('[') ? *json : "[" + *json + "]", name, told);
  const auto all = [&](const std::vector<int64_t>& values) {
    return values.size() == 1 ? std::vector<int64_t>(static_cast<size_t>(levels), values[0])
                              : values;
  };
  if (all(told) == all(known)) return;
  fail_usage("network", fmt::format("{} is {}, but the weights are those of a network of {}", name,
                                    fmt::join(told, ","), fmt::join(known, ",")));
}

}  // namespace

void UnetConfig::fields(Fields& field) {
  field.group("The network");
  field("dim", dim, "base width of the network").range(1, kMostChannels);
  level_fields(field, dim_mults, init_dim);
  field("heads", heads, "heads of the attentions: of each level, or one number for all")
      .range(1, kMostChannels)
      .elements(1, kMostLevels)
      .alias("attn_heads");
  field("dim_head", dim_head, "channels of each head: of each level, or one number for all")
      .range(1, kMostChannels)
      .elements(1, kMostLevels)
      .alias("attn_dim_head");
  field("full_attn", full_attn,
        "1 for softmax attention, 0 for linear attention: of each level, or one number for all")
      .range(0, 1)
      .elements(0, kMostLevels)
      .default_text("softmax at the last level");
  field("mem_kv", mem_kv, "keys and values that each attention learns besides those of the image")
      .range(1, 1024)
      .alias("num_mem_kv");
  field("theta", theta, "longest wavelength of the time embedding, in units of 2 pi time steps")
      .above(1, 1e12)
      .advice("10000 is usual")
      .alias("sinusoidal_pos_emb_theta")
      .not_in_state_dict();
  field("learned_sinusoidal_cond", learned_sinusoidal_cond,
        "learn the frequencies of the time embedding");
  field("random_fourier_features", random_fourier_features,
        "draw the frequencies of the time embedding and keep them");
  field("learned_sinusoidal_dim", learned_sinusoidal_dim,
        "sines and cosines of frequencies that are learnt or drawn")
      .range(2, kMostChannels);
  self_condition_field(field, self_condition);
  dropout_field(field, dropout);
}

bool UnetConfig::full_attention_at(int64_t level) const {
  return full_attn.empty() ? level + 1 == levels() : at(full_attn, level) != 0;
}

void UnetConfig::check() const {
  check_options("network", *this);
  unet_options(*this).check();
  check_count("heads", heads, levels());
  check_count("dim_head", dim_head, levels());
  if (!full_attn.empty()) check_count("full_attn", full_attn, levels());
  for (int64_t level = 0; level < levels(); ++level) {
    check_width("heads times dim_head", heads_at(level) * dim_head_at(level));
  }
  if (!fourier() && (dim < 4 || dim % 2 != 0)) {
    fail_usage("network", fmt::format("dim is {} but must be even and at least 4 for the time "
                                      "embedding; {} would work",
                                      dim, std::max<int64_t>(4, dim + 1)));
  }
  if (fourier() && learned_sinusoidal_dim % 2 != 0) {
    fail_usage("network", fmt::format("learned_sinusoidal_dim is {} but must be even; {} would "
                                      "work",
                                      learned_sinusoidal_dim, learned_sinusoidal_dim + 1));
  }
}

void UnetConfig::take_given(const JsonObject& given) {
  check_given(given, "heads", heads, levels());
  check_given(given, "dim_head", dim_head, levels());
  take_unseen(given, *this);
}

}  // namespace ddpm::lucidrains
