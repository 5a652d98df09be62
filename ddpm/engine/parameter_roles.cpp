#include "ddpm/engine/parameter_roles.h"

#include "ddpm/io/layout.h"

namespace ddpm {

std::vector<OptimizedParameter> optimized_parameters(Module& network) {
  std::vector<OptimizedParameter> parameters;
  std::vector<size_t> layers;
  for (const NamedParameter& named : network.parameters()) {
    const Variable& variable = named.parameter->variable;
    if (state_dict_layout(named.path, variable.shape().rank()) != Layout::kAsIs)
      layers.push_back(parameters.size());
    parameters.push_back({variable});
  }
  for (const size_t i : layers) {
    const bool outer = i == layers.front() || i == layers.back();
    parameters[i].role = outer ? ParameterRole::kOuter : ParameterRole::kInner;
  }
  return parameters;
}

}  // namespace ddpm
