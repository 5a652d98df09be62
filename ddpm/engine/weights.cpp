#include "ddpm/engine/weights.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <set>

#include "ddpm/base/error.h"
#include "ddpm/engine/finite.h"

namespace ddpm {
namespace {

std::string state_dict_shape(const Shape& shape, Layout layout) {
  return to_pytorch(shape, layout).str();
}

// "a, b, c and 12 more"
std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 4;
  const std::vector<std::string> shown(names.begin(),
                                       names.begin() + std::min(names.size(), kShown));
  const std::string more =
      names.size() > kShown ? fmt::format(" and {} more", names.size() - kShown) : "";
  return fmt::format("{}{}", fmt::join(shown, ", "), more);
}

}  // namespace

std::vector<Tensor> parameter_tensors(Module& network) {
  std::vector<Tensor> tensors;
  for (const NamedParameter& named : network.parameters())
    tensors.push_back(named.parameter->variable.value());
  return tensors;
}

void check_shapes(const SafetensorsFile& file, const std::string& prefix, Module& network) {
  std::vector<std::string> missing, misshapen;
  for (const NamedParameter& named : network.parameters()) {
    const Shape& shape = named.parameter->variable.shape();
    const Layout layout = state_dict_layout(named.path, shape.rank());
    const SafetensorsEntry* entry = file.find(prefix + named.path);
    if (entry == nullptr) {
      missing.push_back(prefix + named.path);
    } else if (entry->shape != to_pytorch(shape, layout)) {
      misshapen.push_back(fmt::format("{} is {} instead of {}", entry->name, entry->shape.str(),
                                      state_dict_shape(shape, layout)));
    }
  }
  if (!missing.empty()) fail("model", fmt::format("{} lacks {}", file.path(), some_of(missing)));
  if (!misshapen.empty()) {
    fail("model",
         fmt::format("{} does not fit its configuration: {}", file.path(), some_of(misshapen)));
  }
}

void read_weights(const SafetensorsFile& file, const std::string& prefix, Module& network,
                  std::vector<Tensor>& targets) {
  check_shapes(file, prefix, network);
  const std::vector<NamedParameter> parameters = network.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Layout layout = state_dict_layout(parameters[i].path, targets[i].shape().rank());
    const Tensor read = file.read(prefix + parameters[i].path, layout);
    if (const auto value = find_not_finite(read)) {
      fail("model", fmt::format("{}{} of {} holds {}; the file is damaged, or its training failed. "
                                "An earlier checkpoint may be sound",
                                prefix, parameters[i].path, file.path(), *value));
    }
    targets[i].copy_from(read);
  }
}

void add_weights(SafetensorsWriter& writer, const std::string& prefix, Module& network,
                 const std::vector<Tensor>& weights) {
  const std::vector<NamedParameter> parameters = network.parameters();
  DDPM_CHECK(parameters.size() == weights.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    writer.add(prefix + parameters[i].path, weights[i],
               state_dict_layout(parameters[i].path, weights[i].shape().rank()));
  }
}

}  // namespace ddpm
