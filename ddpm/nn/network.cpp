#include "ddpm/nn/network.h"

#include <fmt/core.h>

#include "ddpm/autograd/functions.h"
#include "ddpm/autograd/recompute.h"
#include "ddpm/base/error.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

Tensor rows_of(const Tensor& tensor, int64_t begin, int64_t end) {
  return tensor.defined() ? tensor.rows(begin, end) : Tensor();
}

void check_optional(const char* name, bool there, bool taken, bool needed = true) {
  if (there == taken || (!there && !needed)) return;
  fail("network", fmt::format("{} {}", name,
                              taken ? "is missing; this network needs it"
                                    : "is given, but this network does not take it"));
}

}  // namespace

NetworkInput NetworkInput::rows(int64_t begin, int64_t end) const {
  if (x.requires_grad()) fail("network", "cannot take rows of an input that needs a gradient");
  return {.x = Variable(x.value().rows(begin, end)),
          .t = t.rows(begin, end),
          .labels = rows_of(labels, begin, end),
          .condition = Variable(rows_of(condition.value(), begin, end)),
          .estimate = Variable(rows_of(estimate.value(), begin, end)),
          .augment = rows_of(augment, begin, end),
          .dropout_seeds = dropout_seeds.empty()
                               ? dropout_seeds
                               : std::vector<uint64_t>(dropout_seeds.begin() + begin,
                                                       dropout_seeds.begin() + end)};
}

Variable Network::run(const Module& part, const std::function<Variable()>& call) const {
  if (!recompute_) return call();
  return recompute([call, used = part.variables()] { return call(); });
}

void Network::check_input(const NetworkInput& input, int64_t channels) const {
  const Shape& shape = input.x.shape();
  if (shape.rank() != 4 || shape[3] != channels) {
    fail("network", fmt::format("x must be [N, H, W, {}] but is {}", channels, shape.str()));
  }
  if (input.t.shape() != Shape{shape[0]}) {
    fail("network", fmt::format("t must be [{}], one step per image, but is {}", shape[0],
                                input.t.shape().str()));
  }
  const OptionalInputs taken = takes();
  check_optional("labels", input.labels.defined(), taken.labels);
  check_optional("condition", input.condition.defined(), taken.condition);
  check_optional("estimate", input.estimate.defined(), taken.estimate, false);
  check_optional("augment", input.augment.defined(), taken.augment, false);
  check_optional("dropout_seeds", !input.dropout_seeds.empty(), taken.dropout, false);
}

Variable Network::in_parts(const NetworkInput& input, int64_t most, int64_t outputs) const {
  const Shape& x = input.x.shape();
  const int64_t count = x[0], parts = (count + most - 1) / most;
  Tensor y({count, x[1], x[2], outputs}, DType::kFloat32, device());
  // On a device without values, running the largest part twice gives the memory of all parts. The
  // second time the prepared weights exist already, as for every part except the first.
  if (!memory_of(device()).holds_values()) {
    const int64_t rows = (count + parts - 1) / parts;
    for (int pass = 0; pass < 2; ++pass) (*this)(input.rows(0, rows));
    return Variable(y);
  }
  for (int64_t i = 0; i < parts; ++i) {
    const int64_t begin = count * i / parts, end = count * (i + 1) / parts;
    Tensor rows = y.rows(begin, end);
    rows.copy_from((*this)(input.rows(begin, end)).value());
  }
  return Variable(y);
}

void Network::check_condition(const NetworkInput& input, int64_t channels) const {
  if (!input.condition.defined()) return;
  const Shape& x = input.x.shape();
  const Shape wanted{x[0], x[1], x[2], channels};
  if (input.condition.shape() == wanted) return;
  fail("network", fmt::format("the condition is {} but must be {}, an image for each x",
                              input.condition.shape().str(), wanted.str()));
}

void Network::check_augment(const NetworkInput& input, int64_t channels) const {
  const Shape wanted{input.x.shape()[0], channels};
  if (!input.augment.defined() || input.augment.shape() == wanted) return;
  fail("network",
       fmt::format("augment is {} but must be {}", input.augment.shape().str(), wanted.str()));
}

Variable concat_defined(std::initializer_list<Variable> maps) {
  Variable all;
  for (const Variable& map : maps) {
    if (!map.defined()) continue;
    all = all.defined() ? concat_channels(all, map) : map;
  }
  return all;
}

NetworkConfig& NetworkConfig::operator=(const NetworkConfig& other) {
  if (this != &other) *this = NetworkConfig(other);
  return *this;
}

bool operator==(const NetworkConfig& a, const NetworkConfig& b) {
  JsonObject of_a, of_b;
  write_options(a, of_a);
  write_options(b, of_b);
  return of_a.members() == of_b.members() && a.channels() == b.channels() &&
         a.output_channels() == b.output_channels() &&
         a.condition_channels() == b.condition_channels() && a.classes() == b.classes() &&
         a.augment_channels() == b.augment_channels();
}

std::unique_ptr<Network> make_network(const NetworkConfig& config, Device device) {
  config.check();
  return config.held_->make(device);
}

std::vector<std::string> network_names() {
  std::vector<std::string> names;
  for (const NetworkFamily& family : network_families()) names.emplace_back(family.name);
  return names;
}

std::optional<NetworkConfig> recognise_network(const StateDictShapes& shapes,
                                               const JsonObject& given) {
  for (const NetworkFamily& family : network_families()) {
    if (auto config = family.recognise(shapes, given)) return config;
  }
  return std::nullopt;
}

}  // namespace ddpm
