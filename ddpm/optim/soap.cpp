#include "ddpm/optim/soap.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/backend.h"
#include "ddpm/optim/algebra.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

// The shape [kh, kw, C_in, C_out] of a filter or, with kh = kw = 1, of a matrix.
Shape axes_of(const Shape& shape) {
  return shape.rank() == 2 ? Shape{1, 1, shape[0], shape[1]} : shape;
}

std::vector<SoapAxis> rotated_axes(const OptimizedParameter& parameter, int64_t limit) {
  std::vector<SoapAxis> axes;
  if (parameter.role == ParameterRole::kOther) return axes;
  const Shape shape = axes_of(parameter.variable.shape());
  for (const SoapAxis axis : kSoapAxes) {
    const int64_t n = shape[static_cast<int>(axis)];
    if (n > 1 && n <= limit) axes.push_back(axis);
  }
  return axes;
}

auto is_rotated(bool wanted, int64_t limit) {
  return [=](const OptimizedParameter& parameter) {
    return !rotated_axes(parameter, limit).empty() == wanted;
  };
}

}  // namespace

Soap::Soap(std::vector<OptimizedParameter> parameters, const SoapOptions& options)
    : PartlyAdam(parameters, options.adam,
                 members_where(parameters, is_rotated(false, options.limit))),
      options_(options),
      rotated_(parameters, members_where(parameters, is_rotated(true, options.limit))) {
  for (const size_t i : rotated_.members()) {
    const Variable& variable = parameters[i].variable;
    const Shape shape = axes_of(variable.shape());
    Rotation& rotation = rotations_.emplace_back();
    for (const SoapAxis axis : rotated_axes(parameters[i], options.limit)) {
      const int64_t n = shape[static_cast<int>(axis)];
      rotation.bases.push_back({.axis = axis,
                                .gram = Tensor::zeros({n, n}, variable.value().device()),
                                .basis = Tensor::zeros({n, n}, variable.value().device())});
    }
  }
}

void Soap::apply(const std::vector<Tensor>& gradients, const AdamArgs& args) {
  PartlyAdam::apply(gradients, args);
  const bool first = args.step == 1;
  for (size_t k = 0; k < rotations_.size(); ++k) {
    const size_t i = rotated_.members()[k];
    if (!updates(i)) continue;
    const Tensor gradient = gradients[i].reshape(axes_of(gradients[i].shape()));
    if (!first) update(k, gradient, args);
    const double share = (1 - args.beta2) * args.grad_scale * args.grad_scale;
    for (SoapBasis& side : rotations_[k].bases) {
      combine({{args.beta2, side.gram}, {share, gram_of(gradient, side.axis)}}, side.gram);
    }
  }
  const int64_t updates = args.step - 1;
  if (updates % options_.every == 0) compute_bases(first);
  move_averages(rotated_.members(), args.ema_decay);
}

// Adam's step in the rotated coordinates, from weights of zero, gives the rotated update.
void Soap::update(size_t k, const Tensor& gradient, const AdamArgs& args) {
  const size_t i = rotated_.members()[k];
  Tensor turned = gradient;
  for (const SoapBasis& side : rotations_[k].bases) turned = rotated(turned, side.axis, side.basis);
  AdamArgs rotated_args = args;
  rotated_args.step = args.step - 1;
  const Shape& shape = gradient.shape();
  std::vector<AdamParameter> parameter = {{.weight = Tensor::zeros(shape, gradient.device()),
                                           .grad = turned,
                                           .moment1 = rotated_.first()[k].reshape(shape),
                                           .moment2 = rotated_.second()[k].reshape(shape)}};
  backend_for(gradient.device()).run(op::Adam{.args = rotated_args, .parameters = parameter});
  Tensor change = parameter.front().weight;
  for (const SoapBasis& side : rotations_[k].bases)
    change = rotated_back(change, side.axis, side.basis);
  Tensor value = weight(i).reshape(shape);
  combine({{keep(i), value}, {keep(i), change}}, value);
}

namespace {

// Takes what compute_bases() takes at most, on a device that only counts memory: the new bases of
// all axes, and the matrices of double of the largest ones that are decomposed at the same time.
void count_memory_of_bases(const std::vector<SoapBasis*>& sides) {
  constexpr int64_t kMatrices = 6, kFloats = 2;
  std::vector<int64_t> sizes;
  std::vector<Tensor> taken;
  for (const SoapBasis* side : sides) {
    sizes.push_back(side->gram.elements());
    taken.push_back(Tensor(side->gram.shape(), DType::kFloat32, side->gram.device()));
  }
  std::sort(sizes.rbegin(), sizes.rend());
  sizes.resize(std::min(sizes.size(), static_cast<size_t>(num_threads())));
  for (const int64_t size : sizes)
    taken.push_back(Tensor({kMatrices * kFloats * size}, DType::kFloat32, sides[0]->gram.device()));
}

}  // namespace

// The decompositions of all axes run in parallel, each on one thread.
void Soap::compute_bases(bool first) {
  std::vector<SoapBasis*> sides;
  for (size_t k = 0; k < rotations_.size(); ++k) {
    if (!updates(rotated_.members()[k])) continue;
    for (SoapBasis& side : rotations_[k].bases) sides.push_back(&side);
  }
  if (sides.empty()) return;
  if (!sides.front()->gram.memory().holds_values()) return count_memory_of_bases(sides);
  std::vector<BasisChange> changes(sides.size());
  parallel_tasks(static_cast<int64_t>(sides.size()), [&](int64_t task) {
    const auto s = static_cast<size_t>(task);
    if (first) {
      changes[s].basis = eigenbasis(sides[s]->gram);
    } else {
      changes[s] = next_basis(*sides[s]);
    }
  });
  auto change = changes.begin();
  for (size_t k = 0; k < rotations_.size(); ++k) {
    if (!updates(rotated_.members()[k])) continue;
    const Shape shape = axes_of(rotated_.first()[k].shape());
    Tensor moment1 = rotated_.first()[k].reshape(shape);
    Tensor moment2 = rotated_.second()[k].reshape(shape);
    for (SoapBasis& side : rotations_[k].bases) {
      if (!first) {
        const Tensor turn = product_of_transposed(side.basis, change->basis);
        moment1.copy_from(rotated(moment1, side.axis, turn));
        permute(moment2, side.axis, change->order);
      }
      side.basis.copy_from(change->basis);
      ++change;
    }
  }
}

std::vector<StateTensor> Soap::state() const {
  std::vector<StateTensor> state = PartlyAdam::state();
  rotated_.add_to(state, "soap");
  for (size_t k = 0; k < rotations_.size(); ++k) {
    const size_t i = rotated_.members()[k];
    for (const SoapBasis& side : rotations_[k].bases) {
      const std::string axis = std::string(name_of(side.axis)) + ".";
      state.push_back({"soap.gram." + axis, i, side.gram, false});
      state.push_back({"soap.basis." + axis, i, side.basis, false});
    }
  }
  return state;
}

std::string Soap::describe() const {
  return fmt::format(
      "SOAP (betas {} and {}, new bases every {} steps, axes up to {}) for {} "
      "matrices and filters with {} weights, AdamW for {} others with {}, weight "
      "decay {}",
      options().beta1, options().beta2, options_.every, options_.limit, rotated_.members().size(),
      count(rotated_.members()), moments().members().size(), count(moments().members()),
      options().weight_decay);
}

}  // namespace ddpm
