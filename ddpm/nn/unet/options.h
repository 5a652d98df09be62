// The options that all U-Nets have, under the same names in each family's own struct.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/base/options.h"

namespace ddpm {

// Throws UsageError for sides that are too long or that cannot be halved at all levels but the
// last, naming sides that work.
void check_sides(int64_t height, int64_t width, int64_t levels);

// Throws UsageError unless there is one number for each level, or one for all.
void check_count(const char* name, const std::vector<int64_t>& values, int64_t levels);

// A copy of these options, and what follows from them.
struct UnetOptions {
  int64_t dim = 0;
  std::vector<int64_t> dim_mults;
  int64_t channels = 0;
  int64_t init_dim = 0;
  int64_t output_dim = 0;
  int64_t condition_channels = 0;
  int64_t classes = 0;
  int64_t augment_channels = 0;
  double dropout = 0;
  bool self_condition = false;

  int64_t levels() const { return static_cast<int64_t>(dim_mults.size()); }
  // After the first convolution.
  int64_t first_width() const { return init_dim > 0 ? init_dim : dim; }
  // Before and after each level: [first width, dim * m0, dim * m1, ...].
  std::vector<int64_t> widths() const;
  // Of the first convolution: the noisy image, an earlier estimate of it, and the condition.
  int64_t input_channels() const {
    return channels * (self_condition ? 2 : 1) + condition_channels;
  }
  int64_t output_channels() const { return output_dim > 0 ? output_dim : channels; }
  // Throws UsageError saying which value cannot work.
  void check() const;
};

template <class Config>
UnetOptions unet_options(const Config& config) {
  return {.dim = config.dim,
          .dim_mults = config.dim_mults,
          .channels = config.channels,
          .init_dim = config.init_dim,
          .output_dim = config.output_dim,
          .condition_channels = config.condition_channels,
          .classes = config.classes,
          .augment_channels = config.augment_channels,
          .dropout = config.dropout,
          .self_condition = config.self_condition};
}

// Lists the fields that are the same in every family, for UnetConfig::fields().
void level_fields(Fields& field, std::vector<int64_t>& dim_mults, int64_t& init_dim);
void dropout_field(Fields& field, double& dropout);
void self_condition_field(Fields& field, bool& self_condition);

}  // namespace ddpm
