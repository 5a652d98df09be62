#include "ddpm/nn/module.h"

#include "ddpm/base/philox.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

// FNV-1a. It makes a parameter's random numbers depend only on its path (and the seed).
uint64_t hash_path(const std::string& path) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char c : path) hash = (hash ^ c) * 0x100000001b3u;
  return hash;
}

}  // namespace

void Module::collect(const std::string& prefix, std::vector<NamedParameter>& out) {
  for (const Entry& entry : own_) {
    if (entry.parameter != nullptr) {
      out.push_back({prefix + entry.name, entry.parameter});
    } else {
      entry.child->collect(prefix + entry.name + ".", out);
    }
  }
}

std::vector<NamedParameter> Module::parameters() {
  std::vector<NamedParameter> all;
  collect("", all);
  return all;
}

std::vector<Variable> Module::variables() const {
  std::vector<Variable> all;
  for (const Entry& entry : own_) {
    if (entry.parameter != nullptr) {
      all.push_back(entry.parameter->variable);
    } else {
      const std::vector<Variable> of_child = entry.child->variables();
      all.insert(all.end(), of_child.begin(), of_child.end());
    }
  }
  return all;
}

int64_t Module::parameter_count() {
  int64_t count = 0;
  for (const NamedParameter& named : parameters())
    count += named.parameter->variable.value().elements();
  return count;
}

void Module::initialize(uint64_t seed) {
  for (const NamedParameter& named : parameters()) {
    const double bound = named.parameter->init_bound, deviation = named.parameter->init_deviation;
    if (bound == 0 && deviation == 0) continue;
    Tensor& value = named.parameter->variable.value();
    if (!value.memory().holds_values()) continue;
    Tensor drawn = value.to(Device::kCpu);
    const Philox random(seed, hash_path(named.path));
    float* out = drawn.f32();
    if (deviation > 0) random.normal(0, value.elements(), out);
    for (int64_t i = 0; i < value.elements(); ++i) {
      out[i] = static_cast<float>(
          deviation > 0 ? out[i] * deviation
                        : (2.0 * random.uniform(static_cast<uint64_t>(i)) - 1.0) * bound);
    }
    value.copy_from(drawn);
  }
}

}  // namespace ddpm
