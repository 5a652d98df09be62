#include "ddpm/optim/muon.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ddpm/optim/algebra.h"

namespace ddpm {
namespace {

constexpr int kIterations = 5;
constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315;
constexpr double kEps = 1e-7;

bool is_orthogonalized(const OptimizedParameter& parameter) {
  return parameter.role == ParameterRole::kInner;
}

// [..., C_out] -> [the rest, C_out]
Tensor as_matrix(const Tensor& x) {
  const int64_t columns = x.size(-1);
  return x.reshape({x.elements() / std::max<int64_t>(columns, 1), columns});
}

}  // namespace

Tensor orthogonalized(const Tensor& x) {
  Tensor result(x.shape(), DType::kFloat32, x.device());
  combine({{1 / (norm_of(x) + kEps), x}}, result);
  const bool wide = x.size(0) < x.size(1);
  for (int i = 0; i < kIterations; ++i) {
    // The Gram matrix of the shorter side.
    const Tensor gram =
        wide ? product_with_transposed(result, result) : product_of_transposed(result, result);
    Tensor polynomial = matrix_product(gram, gram);
    combine({{kB, gram}, {kC, polynomial}}, polynomial);
    const Tensor change =
        wide ? matrix_product(polynomial, result) : matrix_product(result, polynomial);
    combine({{kA, result}, {1, change}}, result);
  }
  return result;
}

Muon::Muon(std::vector<OptimizedParameter> parameters, const MuonOptions& options)
    : PartlyAdam(
          parameters, options.adam,
          members_where(parameters,
                        [](const auto& parameter) { return !is_orthogonalized(parameter); })),
      momentum_(options.momentum),
      members_(members_where(parameters, is_orthogonalized)) {
  for (const size_t i : members_) {
    const Tensor& value = parameters[i].variable.value();
    momenta_.push_back(Tensor::zeros(value.shape(), value.device()));
  }
}

void Muon::apply(const std::vector<Tensor>& gradients, const AdamArgs& args) {
  PartlyAdam::apply(gradients, args);
  for (size_t k = 0; k < members_.size(); ++k) {
    const size_t i = members_[k];
    if (!updates(i)) continue;
    const Tensor gradient = as_matrix(gradients[i]);
    Tensor momentum = as_matrix(momenta_[k]), value = as_matrix(weight(i));
    if (value.elements() == 0) continue;
    combine({{momentum_, momentum}, {args.grad_scale, gradient}}, momentum);
    Tensor update(value.shape(), DType::kFloat32, value.device());
    combine({{args.grad_scale, gradient}, {momentum_, momentum}}, update);
    const auto longer = static_cast<double>(std::max(value.size(0), value.size(1)));
    const double rate = args.learning_rate * 0.2 * std::sqrt(longer);
    combine({{keep(i), value}, {-rate, orthogonalized(update)}}, value);
  }
  move_averages(members_, args.ema_decay);
}

std::vector<StateTensor> Muon::state() const {
  std::vector<StateTensor> state = PartlyAdam::state();
  for (size_t k = 0; k < members_.size(); ++k)
    state.push_back({"muon.momentum.", members_[k], momenta_[k]});
  return state;
}

std::string Muon::describe() const {
  return fmt::format(
      "Muon (momentum {}) for {} matrices and filters with {} weights, AdamW (betas "
      "{} and {}) for {} others with {}, weight decay {}",
      momentum_, members_.size(), count(members_), options().beta1, options().beta2,
      moments().members().size(), count(moments().members()), options().weight_decay);
}

}  // namespace ddpm
