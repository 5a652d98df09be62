#include "ddpm/nn/tutorial/options.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "ddpm/base/error.h"
#include "ddpm/nn/checks.h"
#include "ddpm/nn/tutorial/time_embedding.h"
#include "ddpm/nn/unet/recognise.h"

namespace ddpm::tutorial {

void UnetConfig::fields(Fields& field) {
  field.group("The network");
  field("dim", dim, "base width of the network; must be even").range(2, kMostChannels);
  level_fields(field, dim_mults, init_dim);
  field("groups", groups, "groups of the group normalisations; must divide every width")
      .range(1, kMostChannels)
      .alias("resnet_block_groups")
      .not_in_state_dict();
  field("heads", heads, "heads of the attentions")
      .range(1, kMostChannels)
      .alias("attention_heads")
      .not_in_state_dict();
  field("dim_head", dim_head, "channels of each head")
      .range(1, kMostChannels)
      .alias("attention_dim_head")
      .not_in_state_dict();
  field("attention_levels", attention_levels,
        "1 for an attention, 0 for none: at each level, or one number for all; the middle always "
        "has one")
      .range(0, 1)
      .elements(0, kMostLevels)
      .default_text("all levels");
  field("weight_standardization_eps", weight_standardization_eps,
        "added to the variance of each filter; 0 is the tutorial's, 1e-5 is usual elsewhere")
      .range_below(0, 1)
      .not_in_state_dict();
  dropout_field(field, dropout);
  self_condition_field(field, self_condition);
}

bool UnetConfig::attention_at(int64_t level) const {
  if (attention_levels.empty()) return true;
  return attention_levels[attention_levels.size() == 1 ? 0 : static_cast<size_t>(level)] != 0;
}

void UnetConfig::check() const {
  check_options("network", *this);
  if (!attention_levels.empty()) check_count("attention_levels", attention_levels, levels());
  const UnetOptions common = unet_options(*this);
  common.check();
  check_width("heads times dim_head", heads * dim_head);
  // Throws if dim is odd or too small.
  static_cast<void>(SinusoidalPositionEmbedding{dim});
  std::vector<int64_t> widths = common.widths();
  widths.push_back(dim);
  for (int64_t width : widths) {
    if (width % groups == 0) continue;
    std::vector<std::string> works;
    for (int64_t groups = 1; groups <= dim && groups <= 64; ++groups) {
      bool divides_all = true;
      for (int64_t other : widths) divides_all = divides_all && other % groups == 0;
      if (divides_all) works.push_back(std::to_string(groups));
    }
    fail_usage("network",
               fmt::format("groups {} does not divide the width {}; {} would divide all of {}",
                           groups, width, join_choices(works), fmt::join(widths, ", ")));
  }
}

void UnetConfig::take_given(const JsonObject& given) {
  const int64_t width = heads * dim_head;
  take_unseen(given, *this);
  const bool told_dim_head = given.find("dim_head") != nullptr;
  if (told_dim_head && given.find("heads") == nullptr) heads = dim_head > 0 ? width / dim_head : 0;
  if (told_dim_head && heads * dim_head != width) {
    fail_usage("network", fmt::format("heads of {} channels do not make up the attention's {} "
                                      "channels",
                                      dim_head, width));
  }
  if (heads < 1 || width % heads != 0) {
    fail_usage(
        "network",
        fmt::format("{} heads do not divide the attention's {} channels; a divisor of {}, such "
                    "as 1, works",
                    heads, width, width));
  }
  dim_head = width / heads;
}

}  // namespace ddpm::tutorial
