#include "ddpm/nn/network_size.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"
#include "ddpm/base/named_rows.h"
#include "ddpm/nn/network.h"

namespace ddpm {

const std::vector<NetworkSize>& network_sizes() {
  // Times: ddpm bench --batch 16 --threads 1.
  static const std::vector<NetworkSize> sizes = {
      {"tiny", 16, {1, 2, 4}, {0, 0, 0}, 623'827, 0.09},
      {"small", 32, {1, 2, 4}, {0, 0, 1}, 2'519'395, 0.22},
      {"base", 64, {1, 2, 4, 8}, {0, 0, 1, 1}, 35'539'907, 1},
      {"large", 128, {1, 2, 4, 8}, {0, 0, 1, 1}, 140'367'747, 3.7},
  };
  return sizes;
}

bool has_sizes(const NetworkConfig& network) {
  const Fields fields = fields_of(network);
  return fields.find("dim") != nullptr && fields.find("dim_mults") != nullptr;
}

int64_t set_network_size(NetworkConfig& network, const std::string& name, int64_t height,
                         int64_t width) {
  const NetworkSize& size = find_by_name(network_sizes(), name, "network", "model size");
  const Fields fields = fields_of(network);
  if (!has_sizes(network)) {
    fail_usage("network", fmt::format("a network of the family {} has no model size {}; set its "
                                      "own options",
                                      network.family(), name));
  }
  for (const NetworkFamily& family : network_families()) {
    if (family.name != network.family()) continue;
    const NetworkConfig defaults = family.defaults();
    const Fields usual = fields_of(defaults);
    for (const char* option : {"heads", "dim_head", "full_attn"}) {
      if (const Field* field = fields.find(option)) field->read(usual.find(option)->json());
    }
  }
  std::vector<int64_t> mults = size.dim_mults;
  const auto halves = [&](int64_t side) { return side % (int64_t{1} << (mults.size() - 1)) == 0; };
  while (mults.size() > 1 && !(halves(height) && halves(width))) mults.pop_back();
  fields.find("dim")->read(json_value::write(size.dim));
  fields.find("dim_mults")->read(json_value::write(mults));
  if (const Field* field = fields.find("attention_levels")) {
    std::vector<int64_t> attentions = size.attention_levels;
    attentions.resize(mults.size());
    field->read(json_value::write(attentions));
  }
  return static_cast<int64_t>(size.dim_mults.size() - mults.size());
}

}  // namespace ddpm
