// What the parity tests share: filling a module with the parameters of a fixture, running and
// differentiating it, and comparing every number.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ddpm/nn/module.h"
#include "tests/support/compare.h"
#include "tests/support/fixture.h"

namespace ddpm::test {

// Copies params[prefix + path] to every parameter of the module. Fails the test where names or
// shapes differ.
inline void load_parameters(Module& module, const Fixture::Tensors& params,
                            const std::string& prefix = "") {
  const std::vector<NamedParameter> all = module.parameters();
  EXPECT_EQ(all.size(), params.size()) << "the fixture and the module differ in their parameters";
  for (const NamedParameter& named : all) {
    const auto found = params.find(prefix + named.path);
    ASSERT_NE(found, params.end()) << named.path;
    named.parameter->variable.value().copy_from(found->second);
  }
}

// Relative errors by name: "out", "grad_in.x", "grad.norm.weight", ...
using Errors = std::map<std::string, double>;

// Runs the block on the leaves, and the fixture's grad_out backwards through it. Compares all that
// the fixture holds.
inline Errors run_block(const Fixture& fixture, Module& module, const std::string& prefix,
                        const std::map<std::string, Variable>& inputs,
                        const std::function<Variable()>& block) {
  Errors errors;
  Tape tape;
  Variable out;
  {
    const Tape::Recording recording(tape);
    out = block();
  }
  errors["out"] = relative_l2(out.value(), fixture.at("out"));
  tape.backward(out, fixture.at("grad_out").clone().to(out.value().device()));
  for (const auto& [name, gradient] : fixture.grad_inputs()) {
    if (inputs.contains(name))
      errors["grad_in." + name] = relative_l2(inputs.at(name).grad(), gradient);
  }
  const Fixture::Tensors gradients = fixture.grads();
  if (gradients.empty()) return errors;
  double largest = 0;
  for (const auto& [name, gradient] : gradients) largest = std::max(largest, l2_norm(gradient));
  for (const NamedParameter& named : module.parameters()) {
    const Tensor got = named.parameter->variable.grad(), want = gradients.at(prefix + named.path);
    if (l2_norm(want) < Tolerance::kZeroGradient * largest) {
      EXPECT_LT(l2_norm(got), Tolerance::kZeroGradient * largest) << named.path;
    } else {
      errors["grad." + named.path] = relative_l2(got, want);
    }
  }
  return errors;
}

inline std::string backend_name(const ::testing::TestParamInfo<Device>& info) {
  return name_of(info.param);
}

}  // namespace ddpm::test
