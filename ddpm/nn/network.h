// What every network has in common, whatever its family: what goes in, what comes out, and how one
// is made from its options or from the names and shapes in a file. Only nn/ knows the families.
#pragma once

#include <cstdint>
#include <functional>
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

// One pass over a batch. What is optional may be left empty; a network refuses what it does not
// take.
struct NetworkInput {
  // [N, H, W, channels]: noisy images, scaled as the objective says.
  Variable x;
  // [N]: what the network is told about the level of noise of each image.
  Tensor t;
  // [N]: the class of each image, -1 for none.
  Tensor labels = {};
  // [N, H, W, condition channels]: an image that goes with each x.
  Variable condition = {};
  // [N, H, W, channels]: an earlier estimate of the clean images (arXiv:2208.04202).
  Variable estimate = {};

  // Rows [begin, end) of everything that is there. Throws Error where x requires a gradient.
  NetworkInput rows(int64_t begin, int64_t end) const;
};

// Which of the optional inputs a network takes.
struct OptionalInputs {
  bool labels = false;
  bool condition = false;
  bool estimate = false;
};

class Network : public Module {
 public:
  explicit Network(Device device) : device_(device) {}

  // [N, H, W, output channels]. Throws UsageError where the sides do not fit, Error for an input of
  // a wrong shape or one that the network does not take.
  virtual Variable operator()(const NetworkInput& input) const = 0;
  virtual OptionalInputs takes() const { return {}; }

  Device device() const { return device_; }
  // In training, keep only the input of each block and compute the rest again in the backward pass:
  // less memory, about a third more time, the same bits.
  void set_recompute(bool on) { recompute_ = on; }

 protected:
  // For implementations: the block now, or recorded so that its inside is computed again. The block
  // must hold copies of the variables that it reads, since it outlives the pass.
  Variable run(const std::function<Variable()>& block) const;
  // For implementations: throws Error where the input does not fit: x [N, H, W, channels], t [N],
  // optional ones exactly where takes() says so.
  void check_input(const NetworkInput& input, int64_t channels) const;

 private:
  Device device_;
  bool recompute_ = false;
};

// A network of the configuration. Throws UsageError as NetworkConfig::check(). Parameters are zeros
// and ones until initialize() or loading.
std::unique_ptr<Network> make_network(const NetworkConfig& config, Device device = Device::kCpu);

// The names and shapes of a state dict. Axes are ordered as in our tensors: convolution weights
// [kh, kw, in, out], linear weights [in, out].
using StateDictShapes = std::map<std::string, Shape>;

// One row of the table of families, which also feeds help and error messages.
struct NetworkFamily {
  const char* name;
  const char* help;
  NetworkConfig (*defaults)();
  // The configuration read off a state dict, with `given` for what names and shapes do not tell.
  // Nothing where the state dict is of another family. Throws Error where it is of this one but no
  // network can be like it, and UsageError where `given` does not fit.
  std::optional<NetworkConfig> (*recognise)(const StateDictShapes& shapes, const JsonObject& given);
};
const std::vector<NetworkFamily>& network_families();
std::vector<std::string> network_names();
// Tries every family. Throws as they do; nothing where it is of none.
std::optional<NetworkConfig> recognise_network(const StateDictShapes& shapes,
                                               const JsonObject& given);

}  // namespace ddpm
