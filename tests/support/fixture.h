// Reads the golden numbers of tests/fixtures, whose README.md explains how they were made. Every
// tensor is converted to our order of axes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm::test {

// Full path of tests/fixtures/NAME.safetensors.
std::string fixture_path(const std::string& name);
// The names of all fixtures, sorted.
std::vector<std::string> fixture_names();

class Fixture {
 public:
  using Tensors = std::map<std::string, Tensor>;

  // Throws Error where there is no such fixture.
  explicit Fixture(const std::string& name);

  // JSON: the block and its arguments.
  const std::string& config() const { return config_; }

  // By the whole key: "in.x" [N, H, W, C], "param.proj.weight" [kh, kw, I, O], "out". All other
  // tensors of rank 4 are images, also "in.scale" [N, 1, 1, C]. Throws Error naming the key where
  // it is absent.
  const Tensor& at(const std::string& key) const;
  bool has(const std::string& key) const { return tensors_.contains(key); }
  const Tensors& tensors() const { return tensors_; }

  // The tensors whose key starts with the prefix, without it: group("param."), group("step0.").
  Tensors group(const std::string& prefix) const;
  Tensors inputs() const { return group("in."); }
  Tensors params() const { return group("param."); }
  Tensors grad_inputs() const { return group("grad_in."); }
  Tensors grads() const { return group("grad."); }

 private:
  std::string name_;
  std::string config_;
  Tensors tensors_;
};

}  // namespace ddpm::test
