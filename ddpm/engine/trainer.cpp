#include "ddpm/engine/trainer.h"

#include <fmt/core.h>

#include <chrono>
#include <cmath>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "ddpm/autograd/functions.h"
#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/comm/messages.h"
#include "ddpm/data/augment.h"
#include "ddpm/engine/finite.h"
#include "ddpm/engine/parameter_roles.h"
#include "ddpm/engine/pictures_lost.h"
#include "ddpm/engine/streams.h"
#include "ddpm/engine/trainer_ranks.h"
#include "ddpm/optim/learning_rate.h"
#include "ddpm/optim/update_options.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

std::vector<OptimizedParameter> parameters_of(Network& network, const TrainerRanks* ranks) {
  std::vector<OptimizedParameter> parameters = optimized_parameters(network);
  return ranks == nullptr ? parameters : updated_only(std::move(parameters), ranks->updated());
}

std::vector<Variable> variables_of(const std::vector<OptimizedParameter>& parameters) {
  std::vector<Variable> variables;
  for (const OptimizedParameter& parameter : parameters) variables.push_back(parameter.variable);
  return variables;
}

std::unique_ptr<Network> initial_network(const OptimizerOptions& options, const ModelConfig& config,
                                         Device device) {
  auto network = make_network(config.network, device);
  network->initialize(seed_of(options.seed, Stream::kInitialWeights));
  return network;
}

std::unique_ptr<TrainerRanks> ranks_of(Communicator* ranks, const OptimizerOptions& options,
                                       Network& network) {
  return ranks == nullptr ? nullptr : std::make_unique<TrainerRanks>(*ranks, options, network);
}

std::unique_ptr<Optimizer> optimizer_of(std::vector<OptimizedParameter> parameters,
                                        const OptimizerOptions& options) {
  return make_optimizer(std::move(parameters), options.update,
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

// The sign of NaN says nothing.
std::string not_finite(const char* what, double value) {
  return fmt::format("{} {}", what, std::isnan(value) ? std::abs(value) : value);
}

// Another rank holds a tensor without values.
void copy_here(Tensor& to, const Tensor& from) {
  if (to.memory().holds_values()) to.copy_from(from);
}

}  // namespace

Trainer::Trainer(const OptimizerOptions& options, const ModelConfig& config, BatchSource batches,
                 Device device)
    : Trainer(options, config, std::move(batches), nullptr, device) {}

Trainer::Trainer(const OptimizerOptions& options, const ModelConfig& config, BatchSource batches,
                 Communicator& ranks)
    : Trainer(options, config, std::move(batches), &ranks, Device::kCpu) {}

Trainer::Trainer(const OptimizerOptions& options, const ModelConfig& config, BatchSource batches,
                 Communicator* ranks, Device device)
    : options_(options),
      config_(config),
      batches_(std::move(batches)),
      process_(config.process),
      loss_(loss_kind(options.loss)),
      network_(initial_network(options, config, device)),
      ranks_(ranks_of(ranks, options, *network_)),
      optimizer_(optimizer_of(parameters_of(*network_, ranks_.get()), options)),
      averages_(variables_of(parameters_of(*network_, ranks_.get())), options.averages()),
      sum_(variables_of(optimized_parameters(*network_))) {
  config_.network.check_image(config.height, config.width);
  check_predicts_images(config.network, config.process);
  check_augmentation(options_, config.network);
  network_->set_recompute(options.recompute);
  if (ranks_) ranks_->number_state(*optimizer_, averages_);
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

double Trainer::add_gradients(const Batch& part, uint64_t first, const ImageRange& batch,
                              const std::function<void()>& after_each_closure) {
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
  tape.after_each_closure(after_each_closure);
  loss.backward(tape, share);
  return share * loss.value;
}

double Trainer::add_all_gradients(Batch pictures) {
  const int64_t count = ranks_ ? options_.batch : pictures.images.size(0);
  const auto first = static_cast<uint64_t>(steps_ * count);
  if (network_->takes().augment && pictures.images.defined()) {
    pictures = augmented(pictures, options_.augment, seed_of(options_.seed, Stream::kAugmentation),
                         first + static_cast<uint64_t>(own_pictures().begin));
  }
  const ImageRange batch{.first = first, .count = count};
  if (ranks_) return add_gradients_of_ranks(pictures, batch);
  if (options_.micro_batch == 0) return add_gradients(pictures, first, batch);
  const int64_t chunk = options_.chunk();
  double loss = 0;
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t end = std::min(begin + chunk, count);
    loss += add_gradients(pictures.rows(begin, end), first + static_cast<uint64_t>(begin), batch);
    if (!std::isfinite(loss)) return loss;
    sum_.add();
  }
  sum_.finish();
  return loss;
}

StepMetrics Trainer::step() {
  if (ranks_) {
    ranks_->tell({.kind = RankCommand::Kind::kStep,
                  .has_decayed = decayed_ ? 1 : 0,
                  .number = steps_,
                  .rate_factor = rate_factor_,
                  .decayed = decayed_.value_or(0)});
    ranks_->ready = false;
  }
  const StepMetrics metrics = do_step();
  if (ranks_) ranks_->ready = true;
  return metrics;
}

std::optional<Batch> Trainer::next_batch() {
  if (!ranks_) return batches_(steps_);
  std::optional<Batch> batch;
  std::string failure;
  std::exception_ptr error;
  try {
    batch = own_pictures().count() > 0 ? batches_(steps_) : Batch();
  } catch (const Error& thrown) {
    failure = thrown.what();
    error = std::current_exception();
  }
  // Rank 0 throws its own error as it is.
  try {
    if (!ranks_->agree(failure)) return std::nullopt;
  } catch (const PicturesLost&) {
    // The step ends here on all ranks.
    ranks_->ready = true;
    if (error) std::rethrow_exception(error);
    throw;
  }
  return batch;
}

std::string Trainer::fault_of(const Batch& pictures) {
  constexpr const char* kWhat[] = {"", "the pictures contain", "the conditions contain"};
  TrainerRanks::Fault fault;
  for (const auto& [kind, tensor] : {std::pair{1, &pictures.images}, {2, &pictures.condition}}) {
    if (!tensor->defined() || fault.kind != 0) continue;
    if (const auto value = find_not_finite(*tensor)) fault = {kind, *value};
  }
  if (ranks_) fault = ranks_->first_fault(fault);
  return fault.kind == 0 ? "" : not_finite(kWhat[fault.kind], fault.value);
}

StepMetrics Trainer::do_step() {
  const std::optional<Batch> batch = next_batch();
  if (!batch) return {};
  StepMetrics metrics{.step = steps_ + 1};
  const auto skipped = [&](std::string why) {
    sum_.restart();
    ++steps_;
    metrics.skipped = std::move(why);
    return metrics;
  };
  if (std::string fault = fault_of(*batch); !fault.empty()) return skipped(std::move(fault));
  const auto begin = std::chrono::steady_clock::now();
  const double waited = ranks_ ? ranks_->exchange().figures().waited : 0;
  metrics.loss = add_all_gradients(*batch);
  if (ranks_) {
    const std::chrono::duration<double> all = std::chrono::steady_clock::now() - begin;
    metrics.rank_seconds =
        gather_each(ranks_->ranks(), all.count() - (ranks_->exchange().figures().waited - waited));
  }
  if (!std::isfinite(metrics.loss)) return skipped(not_finite("the loss became", metrics.loss));
  metrics.gradient_norm = ranks_ ? ranks_->gradient_norm(*optimizer_) : optimizer_->gradient_norm();
  if (!std::isfinite(metrics.gradient_norm))
    return skipped(not_finite("the gradient became", metrics.gradient_norm));

  const RateSchedule schedule = options_.rate_schedule();
  metrics.learning_rate = rate_factor_ * (decayed_ ? learning_rate_at(schedule, steps_, *decayed_)
                                                   : learning_rate_at(schedule, steps_));
  optimizer_->set_learning_rate(metrics.learning_rate);
  optimizer_->step(metrics.gradient_norm);
  averages_.update(optimizer_->steps() * options_.batch, options_.batch);
  if (ranks_) ranks_->exchange().share_weights();
  ++steps_;
  return metrics;
}

std::string Trainer::advice() const {
  const bool standardizes = fields_of(config_.network).find("weight_standardization_eps");
  return fmt::format("a lower --lr{} a --clip-norm of 1{} usually helps",
                     standardizes ? "," : " or",
                     standardizes ? " or a --weight-standardization-eps of 1e-5" : "");
}

void Trainer::restart() {
  if (ranks_) ranks_->tell({.kind = RankCommand::Kind::kRestart});
  restart_here();
}

// Takes less memory than a step: one copy of the weights, where a step holds their gradients.
void Trainer::restart_here() {
  const auto initial = make_network(config_.network, network_->device());
  initial->initialize(seed_of(options_.seed, Stream::kInitialWeights));
  const std::vector<NamedParameter> from = initial->parameters(), to = network_->parameters();
  for (size_t i = 0; i < to.size(); ++i)
    to[i].parameter->variable.value().copy_from(from[i].parameter->variable.value());
  for (NamedAverage& average : averages()) {
    for (size_t i = 0; i < to.size(); ++i)
      copy_here(average.values[i], to[i].parameter->variable.value());
  }
  for (StateTensor& state : optimizer_->state())
    state.tensor.copy_from(Tensor::zeros(state.tensor.shape(), state.tensor.device()));
  sum_.restart();
  optimizer_->set_steps(0);
  steps_ = 0;
}

std::unique_ptr<Network> Trainer::averaged_network() {
  auto averaged = make_network(config_.network, network_->device());
  if (ranks_) return averaged;
  const std::vector<NamedParameter> parameters = averaged->parameters();
  const std::vector<Tensor> average = averages().front().values;
  for (size_t i = 0; i < parameters.size(); ++i)
    parameters[i].parameter->variable = Variable(average[i]);
  return averaged;
}

}  // namespace ddpm
