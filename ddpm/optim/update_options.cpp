#include "ddpm/optim/update_options.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/base/named_rows.h"
#include "ddpm/optim/adam.h"
#include "ddpm/optim/muon.h"
#include "ddpm/optim/soap.h"

namespace ddpm {
namespace {

using Parameters = std::vector<OptimizedParameter>;

// An optimizer: its name, its own betas, the options that only some optimizers use and it does, and
// how it is made.
struct Kind {
  const char* name;
  double beta1, beta2;
  std::vector<std::string> uses;
  std::unique_ptr<Optimizer> (*make)(Parameters parameters, const UpdateOptions& options,
                                     const AdamOptions& adam);
};

std::unique_ptr<Optimizer> make_adam(Parameters parameters, const UpdateOptions& /*options*/,
                                     const AdamOptions& adam) {
  return std::make_unique<Adam>(std::move(parameters), adam);
}

std::unique_ptr<Optimizer> make_muon(Parameters parameters, const UpdateOptions& options,
                                     const AdamOptions& adam) {
  return std::make_unique<Muon>(std::move(parameters),
                                MuonOptions{.adam = adam, .momentum = options.momentum});
}

std::unique_ptr<Optimizer> make_soap(Parameters parameters, const UpdateOptions& options,
                                     const AdamOptions& adam) {
  return std::make_unique<Soap>(
      std::move(parameters),
      SoapOptions{
          .adam = adam, .every = options.precondition_every, .limit = options.precondition_limit});
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"adam", 0.9, 0.999, {}, make_adam},
      {"adamw", 0.9, 0.999, {"weight_decay"}, make_adam},
      {"muon", 0.9, 0.95, {"weight_decay", "momentum"}, make_muon},
      {"soap",
       0.95,
       0.95,
       {"weight_decay", "precondition_every", "precondition_limit"},
       make_soap}};
  return all;
}

bool uses(const Kind& kind, const std::string& option) {
  return std::find(kind.uses.begin(), kind.uses.end(), option) != kind.uses.end();
}

const Kind& kind_of(const std::string& name) {
  return find_by_name(kinds(), name, "train", "optimizer");
}

// The optimizers that use an option. Empty if all do.
std::vector<std::string> users_of(const std::string& option) {
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) {
    if (uses(kind, option)) names.emplace_back(kind.name);
  }
  return names;
}

}  // namespace

std::vector<std::string> optimizer_names() { return names_of(kinds()); }

void UpdateOptions::fields(Fields& field) {
  field("optimizer", optimizer,
        "how the weights follow from the gradients; muon and soap treat matrices and filters as "
        "such and take more time for a step")
      .choices("optimizer", optimizer_names());
  field("weight_decay", weight_decay,
        "of adamw, muon and soap: in each step, matrices and filters lose this share of "
        "themselves, times the learning rate")
      .range(0, 1)
      .advice("0.01 to 0.1 is usual");
  field("beta1", beta1,
        "decay of the mean of the gradients, 0 for the optimizer's own: 0.9, of soap 0.95")
      .range_below(0, 1);
  field("beta2", beta2,
        "decay of the mean of their squares, 0 for the optimizer's own: 0.999, of muon and soap "
        "0.95")
      .range_below(0, 1);
  field("adam_epsilon", adam_epsilon, "added to the root of the mean square in Adam's denominator")
      .above(0, 1)
      .advice("1e-8 is usual");
  field("momentum", momentum, "of muon: decay of the sum of the gradients of matrices and filters")
      .range_below(0, 1);
  field("precondition_every", precondition_every, "of soap: steps between new bases")
      .range(1, 1'000'000);
  field("precondition_limit", precondition_limit,
        "of soap: longest axis that gets a basis; the time for one grows with the cube")
      .range(2, 16384);
}

void UpdateOptions::check() const {
  const Kind& kind = kind_of(optimizer);
  const UpdateOptions usual;
  const Fields defaults = fields_of(usual);
  for (const Field& field : fields_of(*this)) {
    const std::vector<std::string> users = users_of(field.name());
    if (users.empty() || uses(kind, field.name())) continue;
    if (field.json() == defaults.find(field.name())->json()) continue;
    fail_usage("train", fmt::format("--{} is not used by the optimizer {}, but by {}",
                                    flag_name(field.name()), optimizer, join_choices(users)));
  }
}

std::unique_ptr<Optimizer> make_optimizer(std::vector<OptimizedParameter> parameters,
                                          const UpdateOptions& options, const AdamOptions& rest) {
  const Kind& kind = kind_of(options.optimizer);
  AdamOptions adam = rest;
  adam.beta1 = options.beta1 > 0 ? options.beta1 : kind.beta1;
  adam.beta2 = options.beta2 > 0 ? options.beta2 : kind.beta2;
  adam.eps = options.adam_epsilon;
  adam.weight_decay = uses(kind, "weight_decay") ? options.weight_decay : 0;
  return kind.make(std::move(parameters), options, adam);
}

}  // namespace ddpm
