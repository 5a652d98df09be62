#include "ddpm/engine/trainer_ranks.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "ddpm/base/error.h"
#include "ddpm/comm/messages.h"
#include "ddpm/engine/pictures_lost.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

// Of messages between two ranks.
constexpr int kStateTag = 1;

std::vector<Variable*> variables_of(Network& network) {
  std::vector<Variable*> variables;
  for (const NamedParameter& named : network.parameters())
    variables.push_back(&named.parameter->variable);
  return variables;
}

std::vector<int> owners_of_variables(const std::vector<Variable*>& parameters, int ranks) {
  std::vector<int64_t> elements;
  for (const Variable* parameter : parameters) elements.push_back(parameter->value().elements());
  return owners_of(elements, ranks);
}

std::span<std::byte> bytes_of(Tensor& tensor) {
  return std::as_writable_bytes(std::span(tensor.f32(), static_cast<size_t>(tensor.elements())));
}

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return std::as_bytes(std::span(tensor.f32(), static_cast<size_t>(tensor.elements())));
}

}  // namespace

TrainerRanks::TrainerRanks(Communicator& ranks, const OptimizerOptions& options, Network& network)
    : ranks_(ranks),
      options_(options),
      owners_(owners_of_variables(variables_of(network), ranks.size())),
      exchange_(ranks, variables_of(network), owners_,
                {.bfloat16 = options.reduce_type == "bfloat16"}) {
  for (const Variable* parameter : variables_of(network)) parameters_.push_back(*parameter);
  if (adds_in_order() && options.micro_batch == 0) {
    fail_usage("train",
               "the gradients of several ranks are added in the order of chunks of pictures, so "
               "micro_batch must not be 0; 4 is usual, or let reduce be fast");
  }
}

std::vector<bool> TrainerRanks::updated() const {
  std::vector<bool> updated;
  for (const int owner : owners_) updated.push_back(owner == ranks_.rank());
  return updated;
}

void TrainerRanks::number_state(const Optimizer& optimizer, const Averages& averages) {
  const auto add = [&](const Tensor& tensor, size_t parameter) {
    numbers_.emplace(tensor.identity(), std::ssize(state_));
    state_.push_back({tensor, owners_[parameter]});
  };
  const auto add_all = [&](const std::vector<Tensor>& tensors) {
    for (size_t i = 0; i < tensors.size(); ++i) add(tensors[i], i);
  };
  add_all(optimizer.ema());
  for (size_t k = 0; k < averages.size(); ++k) add_all(averages.values(k));
  for (const StateTensor& state : optimizer.state()) add(state.tensor, state.parameter);
}

void TrainerRanks::tell(const RankCommand& command) { broadcast_value(ranks_, command); }

RankCommand TrainerRanks::next_command() { return broadcast_value(ranks_, RankCommand()); }

Range TrainerRanks::chunks_of(int rank) const {
  const int64_t chunks = (options_.batch + options_.chunk() - 1) / options_.chunk();
  return part_of_rank(chunks, rank, ranks_.size());
}

Range TrainerRanks::pictures_of(int rank) const {
  if (!adds_in_order()) return part_of_rank(options_.batch, rank, ranks_.size());
  const Range chunks = chunks_of(rank);
  return {.begin = chunks.begin * options_.chunk(),
          .end = std::min(chunks.end * options_.chunk(), options_.batch)};
}

void TrainerRanks::begin_exchange(GradientSum& sum) {
  std::vector<std::vector<PartialSum>> sums_of_ranks;
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    if (adds_in_order()) {
      const Range chunks = chunks_of(rank);
      sums_of_ranks.push_back(partial_sums(chunks.begin, chunks.count()));
    } else {
      sums_of_ranks.push_back(partial_sums(rank, pictures_of(rank).count() > 0 ? 1 : 0));
    }
  }
  exchange_.begin(std::move(sums_of_ranks), [this, &sum](size_t parameter) {
    if (pictures().count() == 0) return std::vector<PartialSum>();
    std::vector<PartialSum> partial = sum.take_last(parameter);
    if (adds_in_order()) return partial;
    OrderedSum all;
    for (PartialSum& each : partial) all.add(std::move(each));
    std::vector<PartialSum> one(1);
    one.front().index = ranks_.rank();
    one.front().sum = all.total();
    return one;
  });
}

bool TrainerRanks::agree(const std::string& failure) {
  const std::vector<int32_t> failed = gather_each<int32_t>(ranks_, failure.empty() ? 0 : 1);
  const auto first = std::find(failed.begin(), failed.end(), 1);
  if (first == failed.end()) return true;
  const std::vector<std::string> texts = gather_texts(ranks_, failure);
  if (!leads()) return false;
  const auto rank = static_cast<size_t>(first - failed.begin());
  throw PicturesLost(
      rank == 0 ? texts[rank]
                : fmt::format("rank {} (host {}): {}", rank, ranks_.hosts()[rank], texts[rank]));
}

TrainerRanks::Fault TrainerRanks::first_fault(const Fault& mine) {
  Fault first;
  for (const Fault& fault : gather_each(ranks_, mine)) {
    if (fault.kind != 0 && (first.kind == 0 || fault.kind < first.kind)) first = fault;
  }
  return first;
}

std::vector<double> TrainerRanks::all_losses(std::vector<double> mine) {
  std::vector<size_t> counts;
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    const auto some = static_cast<int64_t>(pictures_of(rank).count() > 0);
    counts.push_back(static_cast<size_t>(adds_in_order() ? chunks_of(rank).count() : some));
  }
  // After a loss that is not finite, a rank computes no more.
  mine.resize(counts[static_cast<size_t>(ranks_.rank())]);
  return gather_values(ranks_, mine, counts);
}

double TrainerRanks::gradient_norm(const Optimizer& optimizer) {
  const std::vector<double> here = optimizer.squared_norms();
  std::vector<size_t> counts(static_cast<size_t>(ranks_.size()));
  std::vector<double> mine;
  for (size_t i = 0; i < owners_.size(); ++i) {
    ++counts[static_cast<size_t>(owners_[i])];
    if (owners_[i] == ranks_.rank()) mine.push_back(here[i]);
  }
  const std::vector<double> all = gather_values(ranks_, mine, counts);
  std::vector<size_t> next(counts.size());
  std::exclusive_scan(counts.begin(), counts.end(), next.begin(), size_t{0});
  double sum = 0;
  for (const int owner : owners_) sum += all[next[static_cast<size_t>(owner)]++];
  return std::sqrt(sum);
}

bool TrainerRanks::all(bool mine) {
  const std::vector<int32_t> each = gather_each<int32_t>(ranks_, mine ? 1 : 0);
  return std::find(each.begin(), each.end(), 0) == each.end();
}

int64_t TrainerRanks::number_of(const Tensor& place) const {
  const auto found = numbers_.find(place.identity());
  if (found == numbers_.end()) fail("train", "a tensor without values is not of the training");
  return found->second;
}

void TrainerRanks::fetch(int64_t number, Tensor values) {
  const StatePlace& place = state_[static_cast<size_t>(number)];
  if (leads())
    ranks_.receive(bytes_of(values), place.owner, kStateTag)->wait();
  else if (place.owner == ranks_.rank())
    ranks_.send(bytes_of(place.tensor), 0, kStateTag)->wait();
}

void TrainerRanks::deliver(int64_t number, const Tensor& values) {
  StatePlace& place = state_[static_cast<size_t>(number)];
  if (place.owner == ranks_.rank()) {
    if (leads())
      place.tensor.copy_from(values);
    else
      ranks_.receive(bytes_of(place.tensor), 0, kStateTag)->wait();
  } else if (leads()) {
    ranks_.send(bytes_of(values), place.owner, kStateTag)->wait();
  }
}

void TrainerRanks::share_network() {
  for (Variable& parameter : parameters_) broadcast_bytes(ranks_, bytes_of(parameter.value()));
}

}  // namespace ddpm
