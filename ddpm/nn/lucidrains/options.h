// The options of the network of lucidrains/denoising-diffusion-pytorch 2.3.1. Their earlier names
// are that program's own.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ddpm/base/json.h"
#include "ddpm/base/options.h"
#include "ddpm/nn/network.h"
#include "ddpm/nn/unet/options.h"

namespace ddpm::lucidrains {

struct UnetConfig {
  static constexpr const char* kFamily = "lucidrains";

  int64_t dim = 64;
  std::vector<int64_t> dim_mults = {1, 2, 4, 8};
  int64_t channels = 3;
  int64_t init_dim = 0;
  int64_t output_dim = 0;
  int64_t condition_channels = 0;
  int64_t classes = 0;
  int64_t augment_channels = 0;
  // One number for each level, or one for all.
  std::vector<int64_t> heads = {4};
  std::vector<int64_t> dim_head = {32};
  // 1 for softmax attention and 0 for linear attention: of each level, or one number for all. Empty
  // means softmax attention at the last level only.
  std::vector<int64_t> full_attn;
  int64_t mem_kv = 4;
  double theta = 10000;
  bool learned_sinusoidal_cond = false;
  bool random_fourier_features = false;
  int64_t learned_sinusoidal_dim = 16;
  bool self_condition = false;
  double dropout = 0;

  void fields(Fields& field);

  int64_t levels() const { return static_cast<int64_t>(dim_mults.size()); }
  // Whether the time embedding has frequencies of its own.
  bool fourier() const { return learned_sinusoidal_cond || random_fourier_features; }
  bool full_attention_at(int64_t level) const;
  int64_t heads_at(int64_t level) const { return at(heads, level); }
  int64_t dim_head_at(int64_t level) const { return at(dim_head, level); }

  // The sides of an image must be multiples of this: 2^(levels - 1).
  int64_t side_divisor() const { return int64_t{1} << (levels() - 1); }
  // Throw UsageError saying which value cannot work and which would work.
  void check() const;
  void check_image(int64_t height, int64_t width) const { check_sides(height, width, levels()); }
  // Reads theta. Throws UsageError if heads, dim_head or self_condition differ from those of the
  // weights.
  void take_given(const JsonObject& given);
  // Makes a Unet. Throws UsageError as check() does.
  std::unique_ptr<Network> make(Device device) const;

  bool operator==(const UnetConfig&) const = default;

 private:
  static int64_t at(const std::vector<int64_t>& values, int64_t level) {
    return values[values.size() == 1 ? 0 : static_cast<size_t>(level)];
  }
};

}  // namespace ddpm::lucidrains
