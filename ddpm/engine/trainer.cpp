#include "ddpm/engine/trainer.h"

#include <fmt/core.h>

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "ddpm/autograd/functions.h"
#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/data/augment.h"
#include "ddpm/engine/finite.h"
#include "ddpm/engine/parameter_roles.h"
#include "ddpm/engine/streams.h"
#include "ddpm/optim/learning_rate.h"
#include "ddpm/optim/update_options.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

std::vector<Variable> trained_variables(Network& network) {
  std::vector<Variable> variables;
  for (const NamedParameter& named : network.parameters())
    variables.push_back(named.parameter->variable);
  return variables;
}

std::unique_ptr<Optimizer> optimizer_of(Network& network, const OptimizerOptions& options) {
  network.initialize(seed_of(options.seed, Stream::kInitialWeights));
  return make_optimizer(optimized_parameters(network), options.update,
                        {.learning_rate = options.lr,
                         .clip_norm = options.clip_norm,
                         .ema_decay = options.ema_decay});
}

// A network is told of kAugmentChannels numbers, or of none. If it is told of none, no picture may
// be augmented.
void check_augmentation(const OptimizerOptions& options, const NetworkConfig& network) {
  const int64_t told = network.augment_channels();
  if (told == kAugmentChannels || (told == 0 && options.augment == 0)) return;
  fail_usage("train",
             fmt::format("the network takes {} numbers about the augmentation of a picture, "
                         "but augment is {}; augment_channels must be {}, or both 0",
                         told, options.augment, kAugmentChannels));
}

// The labels [N] of pictures first ... first + N - 1 of a run, with some replaced by "no class".
Tensor drop_labels(const Tensor& labels, const OptimizerOptions& options, uint64_t first) {
  if (!labels.defined()) fail("train", "the network is told classes, but the pictures have none");
  if (options.label_dropout == 0 || !labels.memory().holds_values()) return labels;
  const Philox random(seed_of(options.seed, Stream::kLabelDropout));
  Tensor kept = labels.clone();
  for (int64_t n = 0; n < kept.size(0); ++n) {
    if (random.uniform(first + static_cast<uint64_t>(n)) < options.label_dropout)
      kept.f32()[n] = -1;
  }
  return kept;
}

// Pictures [begin, end) of a batch. Shares storage.
Batch part_of(const Batch& batch, int64_t begin, int64_t end) {
  const auto rows = [&](const Tensor& all) {
    return all.defined() ? all.rows(begin, end) : Tensor();
  };
  Batch part(rows(batch.images));
  part.labels = rows(batch.labels);
  part.condition = rows(batch.condition);
  part.augment = rows(batch.augment);
  return part;
}

}  // namespace

Trainer::Trainer(const OptimizerOptions& options, const ModelConfig& config, BatchSource batches,
                 Device device)
    : options_(options),
      config_(config),
      batches_(std::move(batches)),
      process_(config.process),
      loss_(loss_kind(options.loss)),
      network_(make_network(config.network, device)),
      optimizer_(optimizer_of(*network_, options)),
      averages_(trained_variables(*network_), options.averages()),
      sum_(trained_variables(*network_)) {
  config_.network.check_image(config.height, config.width);
  check_predicts_images(config.network, config.process);
  check_augmentation(options_, config.network);
  network_->set_recompute(options.recompute);
}

NetworkInput Trainer::input_of(const Batch& pictures, const NoisedBatch& noised,
                               uint64_t first) const {
  const Device device = network_->device();
  const OptionalInputs taken = network_->takes();
  NetworkInput input{.x = Variable(noised.input), .t = noised.t};
  if (taken.labels) input.labels = drop_labels(pictures.labels, options_, first).to(device);
  if (taken.condition) input.condition = Variable(pictures.condition.to(device));
  if (taken.augment) input.augment = pictures.augment.to(device);
  const Philox coin(seed_of(options_.seed, Stream::kSelfConditioning));
  // A device without values only counts memory: the most that a step needs.
  const bool shown =
      !noised.input.memory().holds_values() || coin.uniform(static_cast<uint64_t>(steps_)) < 0.5f;
  // This pass drops nothing, as in sampling: the input has no dropout seeds yet.
  if (taken.estimate && shown)
    input.estimate = Variable(estimate_of(noised, (*network_)(input).value()));
  if (taken.dropout) {
    const uint64_t seed = seed_of(options_.seed, Stream::kDropout);
    input.dropout_seeds.resize(static_cast<size_t>(noised.t.size(0)));
    for (size_t n = 0; n < input.dropout_seeds.size(); ++n) {
      input.dropout_seeds[n] = mix_seed(seed, first + n);
    }
  }
  return input;
}

std::vector<Tensor> Trainer::told(const Batch& pictures) const {
  const OptionalInputs taken = network_->takes();
  std::vector<Tensor> all;
  if (taken.labels) all.push_back(pictures.labels);
  if (taken.condition) all.push_back(pictures.condition);
  if (taken.augment) all.push_back(pictures.augment);
  return all;
}

Loss Trainer::loss_of(const NoisedBatch& noised, const Variable& output) const {
  if (!process_.learned_variance()) return mean_loss(loss_, output, noised.target, noised.weights);
  return hybrid_loss(loss_, output, noised.target, noised.weights,
                     {.x0 = noised.x0,
                      .levels = noised.bounds,
                      .weight = process_.bound_weight(),
                      .target = noised.bound_target});
}

double Trainer::add_gradients(const Batch& part, uint64_t first, const ImageRange& batch) {
  const auto seed = [&](Stream stream) { return seed_of(options_.seed, stream); };
  const NoisedBatch noised =
      noised_batch(process_,
                   {.levels = seed(Stream::kLevels),
                    .noise = seed(Stream::kNoise),
                    .perturbation = seed(Stream::kInputPerturbation)},
                   first, part.images.to(network_->device()), {.told = told(part), .batch = batch});

  // Before the tape records, because an estimate has no gradient.
  const NetworkInput input = input_of(part, noised, first);
  Tape tape;
  Loss loss;
  {
    const Tape::Recording recording(tape);
    loss = loss_of(noised, (*network_)(input));
  }
  if (!std::isfinite(loss.value)) return loss.value;
  const double share = static_cast<double>(part.images.size(0)) / static_cast<double>(batch.count);
  loss.backward(tape, share);
  return share * loss.value;
}

double Trainer::add_all_gradients(Batch pictures) {
  const int64_t count = pictures.images.size(0);
  const auto first = static_cast<uint64_t>(steps_ * count);
  if (network_->takes().augment) {
    pictures =
        augmented(pictures, options_.augment, seed_of(options_.seed, Stream::kAugmentation), first);
  }
  const ImageRange batch{.first = first, .count = count};
  if (options_.micro_batch == 0) return add_gradients(pictures, first, batch);
  const int64_t chunk = options_.chunk();
  double loss = 0;
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t end = std::min(begin + chunk, count);
    loss +=
        add_gradients(part_of(pictures, begin, end), first + static_cast<uint64_t>(begin), batch);
    if (!std::isfinite(loss)) return loss;
    sum_.add();
  }
  sum_.finish();
  return loss;
}

StepMetrics Trainer::step() {
  const Batch pictures = batches_(steps_);
  StepMetrics metrics{.step = steps_ + 1};
  const auto skipped = [&](const char* what, double value) {
    sum_.restart();
    ++steps_;
    // The sign of NaN says nothing.
    metrics.skipped = fmt::format("{} {}", what, std::isnan(value) ? std::abs(value) : value);
    return metrics;
  };
  for (const auto& [what, tensor] : {std::pair{"the pictures contain", &pictures.images},
                                     std::pair{"the conditions contain", &pictures.condition}}) {
    if (!tensor->defined()) continue;
    if (const auto value = find_not_finite(*tensor)) return skipped(what, *value);
  }
  metrics.loss = add_all_gradients(pictures);
  if (!std::isfinite(metrics.loss)) return skipped("the loss became", metrics.loss);
  metrics.gradient_norm = optimizer_->gradient_norm();
  if (!std::isfinite(metrics.gradient_norm))
    return skipped("the gradient became", metrics.gradient_norm);

  const RateSchedule schedule = options_.rate_schedule();
  metrics.learning_rate = rate_factor_ * (decayed_ ? learning_rate_at(schedule, steps_, *decayed_)
                                                   : learning_rate_at(schedule, steps_));
  optimizer_->set_learning_rate(metrics.learning_rate);
  optimizer_->step(metrics.gradient_norm);
  averages_.update(optimizer_->steps() * options_.batch, options_.batch);
  ++steps_;
  return metrics;
}

std::string Trainer::advice() const {
  const bool standardizes = fields_of(config_.network).find("weight_standardization_eps");
  return fmt::format("a lower --lr{} a --clip-norm of 1{} usually helps",
                     standardizes ? "," : " or",
                     standardizes ? " or a --weight-standardization-eps of 1e-5" : "");
}

// Takes less memory than a step: one copy of the weights, where a step holds their gradients.
void Trainer::restart() {
  const auto initial = make_network(config_.network, network_->device());
  initial->initialize(seed_of(options_.seed, Stream::kInitialWeights));
  const std::vector<NamedParameter> from = initial->parameters(), to = network_->parameters();
  for (size_t i = 0; i < to.size(); ++i)
    to[i].parameter->variable.value().copy_from(from[i].parameter->variable.value());
  for (NamedAverage& average : averages()) {
    for (size_t i = 0; i < to.size(); ++i)
      average.values[i].copy_from(to[i].parameter->variable.value());
  }
  for (StateTensor& state : optimizer_->state())
    state.tensor.copy_from(Tensor::zeros(state.tensor.shape(), state.tensor.device()));
  sum_.restart();
  optimizer_->set_steps(0);
  steps_ = 0;
}

std::unique_ptr<Network> Trainer::averaged_network() {
  auto averaged = make_network(config_.network, network_->device());
  const std::vector<NamedParameter> parameters = averaged->parameters();
  const std::vector<Tensor> average = averages().front().values;
  for (size_t i = 0; i < parameters.size(); ++i)
    parameters[i].parameter->variable = Variable(average[i]);
  return averaged;
}

}  // namespace ddpm
