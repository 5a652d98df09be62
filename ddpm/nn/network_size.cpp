#include "ddpm/nn/network_size.h"

#include <fmt/core.h>

#include <variant>

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
  fields.find("dim")->read(json_value::write(size.dim));
  fields.find("dim_mults")->read(json_value::write(size.dim_mults));
  if (const Field* field = fields.find("attention_levels"))
    field->read(json_value::write(size.attention_levels));
  return leave_out_levels(network, height, width);
}

int64_t leave_out_levels(NetworkConfig& network, int64_t height, int64_t width) {
  if (!has_sizes(network)) return 0;
  const Fields fields = fields_of(network);
  auto& mults = *std::get<std::vector<int64_t>*>(fields.find("dim_mults")->value());
  const size_t before = mults.size();
  const auto halves = [&](int64_t side) { return side % (int64_t{1} << (mults.size() - 1)) == 0; };
  while (mults.size() > 1 && !(halves(height) && halves(width))) mults.pop_back();
  if (const Field* field = fields.find("attention_levels")) {
    auto& attentions = *std::get<std::vector<int64_t>*>(field->value());
    if (attentions.size() == before) attentions.resize(mults.size());
  }
  return static_cast<int64_t>(before - mults.size());
}

}  // namespace ddpm
