// Parameters to and from the entries of a safetensors file. Private to engine/.
#pragma once

#include <string>
#include <vector>

#include "ddpm/io/safetensors.h"
#include "ddpm/nn/module.h"

namespace ddpm {

// Throws Error naming tensors prefix + path that the file lacks or has in another shape. Looks at
// the network's shapes only, so that it may be on Device::kDry.
void check_shapes(const SafetensorsFile& file, const std::string& prefix, Module& network);

// Reads prefix + path into targets[i] for every parameter of the network, in its order (targets on
// Device::kDry are checked and not written). Throws Error as check_shapes() does, and naming a
// tensor that holds a value which is not finite.
void read_weights(const SafetensorsFile& file, const std::string& prefix, Module& network,
                  std::vector<Tensor>& targets);

// Adds weights[i] under prefix + path for every parameter, in the network's order.
void add_weights(SafetensorsWriter& writer, const std::string& prefix, Module& network,
                 const std::vector<Tensor>& weights);

// The network's own parameter tensors (sharing storage), in its order.
std::vector<Tensor> parameter_tensors(Module& network);

// Metadata keys and values of our files.
inline constexpr char kConfigKey[] = "ddpm.config";
inline constexpr char kStepKey[] = "ddpm.step";
inline constexpr char kRunKey[] = "ddpm.run";    // the id of the run that it belongs to
inline constexpr char kKindKey[] = "ddpm.kind";  // "model" or "checkpoint"

}  // namespace ddpm
