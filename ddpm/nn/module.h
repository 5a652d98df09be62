// The tree of parameters. A module registers its parameters and children by name in its
// constructor, and holds them as typed members. The resulting paths are exactly the keys of
// PyTorch's state_dict for the tutorial's classes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/autograd/variable.h"

namespace ddpm {

// A parameter, with the bound of its initial uniform distribution or the standard deviation of its
// initial normal one. If both are 0, it keeps the value from the constructor. A parameter whose
// variable requires no gradient is not trained.
struct Parameter {
  Variable variable;
  double init_bound = 0;
  double init_deviation = 0;
};

struct NamedParameter {
  // For example "down_layers.0.0.block1.proj.weight".
  std::string path;
  Parameter* parameter = nullptr;
};

class Module {
 public:
  Module() = default;
  // Not copyable, because children are registered by address.
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  // All parameters below this module, in order of registration (PyTorch's order for the same
  // classes).
  std::vector<NamedParameter> parameters();
  // Their variables, which share values and gradients with them.
  std::vector<Variable> variables() const;
  // The number of scalars in all parameters.
  int64_t parameter_count();
  // Sets every parameter to a new initial value: PyTorch's defaults (uniform in +-1/sqrt(fan_in)
  // for weights and biases of convolutions and linear layers, ones and zeros for norms, normal for
  // embeddings). A value depends only on the seed and the parameter's path.
  void initialize(uint64_t seed);

 protected:
  void add(std::string name, Parameter& parameter) {
    own_.push_back({std::move(name), &parameter, nullptr});
  }
  void add(std::string name, Module& child) { own_.push_back({std::move(name), nullptr, &child}); }

 private:
  struct Entry {
    std::string name;
    Parameter* parameter;
    Module* child;
  };
  void collect(const std::string& prefix, std::vector<NamedParameter>& out);
  std::vector<Entry> own_;
};

// A list of modules numbered "0", "1", ...: PyTorch's ModuleList and Sequential.
class ModuleList : public Module {
 public:
  void append(Module& child) { add(std::to_string(size_++), child); }
  // Skips a number, for a layer without parameters (such as an activation inside a Sequential).
  void skip() { ++size_; }

 private:
  int size_ = 0;
};

}  // namespace ddpm
