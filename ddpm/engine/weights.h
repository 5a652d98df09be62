// Copies parameters to and from the entries of a safetensors file. Private to engine/.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ddpm/io/layout.h"
#include "ddpm/io/safetensors.h"
#include "ddpm/nn/module.h"
#include "ddpm/optim/optimizer.h"

namespace ddpm {

// Throws Error naming the tensors (prefix + path) that the file lacks or that have another shape.
// Only the network's shapes are used, so it may be on Device::kDry.
void check_shapes(const SafetensorsFile& file, const std::string& prefix, Module& network);

// Puts values into a tensor of a training. On several ranks, the values of some tensors are on
// other ranks; Trainer::deliver() and Trainer::fetch() write and read them.
using Deliver = std::function<void(Tensor place, const Tensor& values)>;
using Fetch = std::function<Tensor(const Tensor& place)>;

// Reads prefix + path into targets[i] for every parameter of the network, in its order. Targets on
// Device::kDry are checked but not written. Throws Error as check_shapes() does, and naming a
// tensor with a value that is not finite.
void read_weights(const SafetensorsFile& file, const std::string& prefix, Module& network,
                  std::vector<Tensor>& targets, const Deliver& deliver = {});

// Adds weights[i] with the name prefix + path for every parameter, in the network's order.
void add_weights(SafetensorsWriter& writer, const std::string& prefix, Module& network,
                 const std::vector<Tensor>& weights);

// A tensor and its place in a file.
struct FileTensor {
  std::string name;
  Layout layout = Layout::kAsIs;
  Tensor tensor;
};

// What an optimizer keeps besides the weights and their average, with the names of its parameters.
std::vector<FileTensor> state_tensors(Module& network, const Optimizer& optimizer);
// Reads all of them. Throws Error as read_weights() does.
void read_tensors(const SafetensorsFile& file, std::vector<FileTensor> targets,
                  const Deliver& deliver = {});

// The tensors of the network's parameters, in its order. They share storage with the network.
std::vector<Tensor> parameter_tensors(Module& network);

// Keys in the metadata of our files.
inline constexpr char kConfigKey[] = "ddpm.config";
// The family of the model, if it is not that of a network; see mixture_model.h.
inline constexpr char kFamilyKey[] = "ddpm.family";
inline constexpr char kStepKey[] = "ddpm.step";
// The id of the run that the file belongs to.
inline constexpr char kRunKey[] = "ddpm.run";
// Its value is "model" or "checkpoint".
inline constexpr char kKindKey[] = "ddpm.kind";

}  // namespace ddpm
