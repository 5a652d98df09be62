// The interface that all families of networks share: their input and output, and how to make a
// network from options or from the names and shapes in a file. Only nn/ knows the families.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ddpm/base/json.h"
#include "ddpm/nn/module.h"
#include "ddpm/nn/network_config.h"

namespace ddpm {

// The input of one pass over a batch. Optional parts may be left empty. A network refuses parts
// that it does not take.
struct NetworkInput {
  // [N, H, W, channels]: noisy images, scaled as the objective defines.
  Variable x;
  // [N]: the number that stands for the noise level of each image.
  Tensor t;
  // [N]: the class of each image, -1 for none.
  Tensor labels = {};
  // [N, H, W, condition channels]: an image that goes with each x.
  Variable condition = {};
  // [N, H, W, channels]: an earlier estimate of the clean images (Chen et al. 2022,
  // arXiv:2208.04202). Zeros if a network takes one and there is none yet.
  Variable estimate = {};
  // [N, augment channels]: the numbers that tell how each image was augmented (data/augment.h).
  // Empty means zeros: no image was.
  Tensor augment = {};
  // For training only. If not empty, a network with dropout drops activations; dropout_seeds[n]
  // gives the random numbers of image n.
  std::vector<uint64_t> dropout_seeds = {};

  // Rows [begin, end) of every part that is present. Throws Error if x requires a gradient.
  NetworkInput rows(int64_t begin, int64_t end) const;
};

// The optional inputs that a network takes.
struct OptionalInputs {
  bool labels = false;
  bool condition = false;
  bool estimate = false;
  bool augment = false;
  bool dropout = false;
};

class Network : public Module {
 public:
  explicit Network(Device device) : device_(device) {}

  // Returns [N, H, W, output channels]. Throws UsageError if the sides do not fit, and Error for an
  // input that has a wrong shape or that the network does not take.
  virtual Variable operator()(const NetworkInput& input) const = 0;
  virtual OptionalInputs takes() const { return {}; }

  Device device() const { return device_; }
  // In training, keep only the input of each block, and compute the rest again in the backward
  // pass. This takes less memory and about a third more time. The results have the same bits.
  void set_recompute(bool on) { recompute_ = on; }

 protected:
  // For implementations: makes a call of a part of the network, and with recompute records it so
  // that its intermediate values are computed again. The call must use no parameters of other
  // parts, and hold copies of the variables that it reads, because it outlives the pass.
  Variable run(const Module& part, const std::function<Variable()>& call) const;
  // For implementations: throws Error if the input does not fit. x must be [N, H, W, channels] and
  // t [N]. Labels and condition must be there exactly if takes() lists them; estimate, augment and
  // dropout seeds may be there only then.
  void check_input(const NetworkInput& input, int64_t channels) const;
  // For implementations: the output [N, H, W, outputs] of a batch in parts of at most `most`
  // images.
  Variable in_parts(const NetworkInput& input, int64_t most, int64_t outputs) const;
  // For implementations: throws Error for a condition that is not [N, H, W, channels].
  void check_condition(const NetworkInput& input, int64_t channels) const;
  // For implementations: throws Error for an augment that is not [N, channels].
  void check_augment(const NetworkInput& input, int64_t channels) const;

 private:
  Device device_;
  bool recompute_ = false;
};

// The channels of several maps [N, H, W, ...], one after the other. Maps that are not there are
// left out; one map alone comes back as it is, at no cost. For the first convolution of a network:
// each family has its own order of x, estimate and condition.
Variable concat_defined(std::initializer_list<Variable> maps);

// Makes a network of the configuration. Throws UsageError as NetworkConfig::check() does. The
// parameters are zeros and ones until initialize() or loading.
std::unique_ptr<Network> make_network(const NetworkConfig& config, Device device = Device::kCpu);

// The names and shapes of a state dict. The order of axes is that of our tensors: convolution
// weights [kh, kw, in, out], linear weights [in, out].
using StateDictShapes = std::map<std::string, Shape>;

// One row of the table of families. Help and error messages also use it.
struct NetworkFamily {
  const char* name;
  const char* help;
  NetworkConfig (*defaults)();
  // Reads the configuration off a state dict. `given` holds the options that names and shapes do
  // not show. Returns nothing if the state dict belongs to another family. Throws Error if it
  // belongs to this family but no network can have these shapes, and UsageError if `given` does not
  // fit.
  std::optional<NetworkConfig> (*recognise)(const StateDictShapes& shapes, const JsonObject& given);
};
const std::vector<NetworkFamily>& network_families();
std::vector<std::string> network_names();
// Tries every family. Throws as they do. Returns nothing if no family recognises the state dict.
std::optional<NetworkConfig> recognise_network(const StateDictShapes& shapes,
                                               const JsonObject& given);

}  // namespace ddpm
