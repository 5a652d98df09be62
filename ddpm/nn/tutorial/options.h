// The options of the tutorial's network.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ddpm/nn/network.h"
#include "ddpm/nn/unet/options.h"

namespace ddpm::tutorial {

struct UnetConfig {
  static constexpr const char* kFamily = "tutorial";

  int64_t dim = 64;
  std::vector<int64_t> dim_mults = {1, 2, 4, 8};
  int64_t channels = 3;
  int64_t init_dim = 0;
  int64_t output_dim = 0;
  int64_t condition_channels = 0;
  int64_t classes = 0;
  int64_t augment_channels = 0;
  int64_t groups = 4;
  int64_t heads = 4;
  int64_t dim_head = 32;
  // 1 for the levels that have an attention and 0 for those without, or one number for all. Empty
  // means all levels. The middle always has one.
  std::vector<int64_t> attention_levels;
  double weight_standardization_eps = 0;
  double dropout = 0;
  bool self_condition = false;

  void fields(Fields& field);

  bool attention_at(int64_t level) const;
  int64_t levels() const { return static_cast<int64_t>(dim_mults.size()); }
  // The sides of an image must be multiples of this: 2^(levels - 1).
  int64_t side_divisor() const { return int64_t{1} << (levels() - 1); }
  // Throw UsageError saying which value cannot work and which would work.
  void check() const;
  void check_image(int64_t height, int64_t width) const { check_sides(height, width, levels()); }
  // Reads groups, heads, dim_head and weight_standardization_eps. Either of heads and dim_head
  // follows from the other, so that the width of all heads together stays the same. Throws
  // UsageError if they do not make up that width, and if self_condition does not fit the weights.
  void take_given(const JsonObject& given);
  // Makes a DiffusionUnet. Throws UsageError as check() does.
  std::unique_ptr<Network> make(Device device) const;

  bool operator==(const UnetConfig&) const = default;
};

}  // namespace ddpm::tutorial
