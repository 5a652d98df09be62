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

// The places of one tensor for each parameter.
std::vector<FileTensor> file_tensors(const std::string& prefix, Module& network,
                                     const std::vector<Tensor>& tensors) {
  const std::vector<NamedParameter> parameters = network.parameters();
  DDPM_CHECK(parameters.size() == tensors.size());
  std::vector<FileTensor> places;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string& path = parameters[i].path;
    places.push_back(
        {prefix + path, state_dict_layout(path, tensors[i].shape().rank()), tensors[i]});
  }
  return places;
}

void check_tensors(const SafetensorsFile& file, const std::vector<FileTensor>& tensors) {
  std::vector<std::string> missing, misshapen;
  for (const auto& [name, layout, tensor] : tensors) {
    const SafetensorsEntry* entry = file.find(name);
    if (entry == nullptr) {
      missing.push_back(name);
    } else if (entry->shape != to_pytorch(tensor.shape(), layout)) {
      misshapen.push_back(fmt::format("{} is {} instead of {}", entry->name, entry->shape.str(),
                                      state_dict_shape(tensor.shape(), layout)));
    }
  }
  if (!missing.empty()) fail("model", fmt::format("{} lacks {}", file.path(), some_of(missing)));
  if (!misshapen.empty()) {
    fail("model",
         fmt::format("{} does not fit its configuration: {}", file.path(), some_of(misshapen)));
  }
}

}  // namespace

std::vector<Tensor> parameter_tensors(Module& network) {
  std::vector<Tensor> tensors;
  for (const NamedParameter& named : network.parameters())
    tensors.push_back(named.parameter->variable.value());
  return tensors;
}

void check_shapes(const SafetensorsFile& file, const std::string& prefix, Module& network) {
  check_tensors(file, file_tensors(prefix, network, parameter_tensors(network)));
}

void read_weights(const SafetensorsFile& file, const std::string& prefix, Module& network,
                  std::vector<Tensor>& targets, const Deliver& deliver) {
  read_tensors(file, file_tensors(prefix, network, targets), deliver);
}

void read_tensors(const SafetensorsFile& file, std::vector<FileTensor> targets,
                  const Deliver& deliver) {
  check_tensors(file, targets);
  for (FileTensor& target : targets) {
    const Tensor read = file.read(target.name, target.layout);
    if (const auto value = find_not_finite(read)) {
      fail("model", fmt::format("{} of {} holds {}; the file is damaged, or its training failed. "
                                "An earlier checkpoint may be sound",
                                target.name, file.path(), *value));
    }
    if (deliver)
      deliver(target.tensor, read);
    else
      target.tensor.copy_from(read);
  }
}

std::vector<FileTensor> state_tensors(Module& network, const Optimizer& optimizer) {
  const std::vector<NamedParameter> parameters = network.parameters();
  std::vector<FileTensor> tensors;
  for (const StateTensor& state : optimizer.state()) {
    const std::string& path = parameters[state.parameter].path;
    const Layout layout =
        state.like_parameter ? state_dict_layout(path, state.tensor.shape().rank()) : Layout::kAsIs;
    tensors.push_back({state.prefix + path, layout, state.tensor});
  }
  return tensors;
}

void add_weights(SafetensorsWriter& writer, const std::string& prefix, Module& network,
                 const std::vector<Tensor>& weights) {
  for (const FileTensor& place : file_tensors(prefix, network, weights))
    writer.add(place.name, place.tensor, place.layout);
}

}  // namespace ddpm
