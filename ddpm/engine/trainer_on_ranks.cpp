// What a trainer does as one of several ranks.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/engine/drawing_ranks.h"
#include "ddpm/engine/finite.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/engine/trainer_ranks.h"
#include "ddpm/engine/weights.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {

Trainer::~Trainer() {
  if (!ranks_ || !ranks_->leads() || !ranks_->ready) return;
  try {
    ranks_->tell({.kind = RankCommand::Kind::kEnd});
  } catch (const Error&) {
    // The job ends anyway.
  }
}

Range Trainer::own_pictures() const {
  return ranks_ ? ranks_->pictures() : Range{.begin = 0, .end = options_.batch};
}

double Trainer::add_gradients_of_ranks(const Batch& pictures, const ImageRange& batch) {
  const Range own = ranks_->pictures();
  const int64_t chunk =
      options_.micro_batch == 0 ? std::max<int64_t>(own.count(), 1) : options_.chunk();
  const bool in_order = ranks_->adds_in_order();
  sum_.restart(in_order ? ranks_->first_chunk() : 0);
  std::vector<double> losses;
  if (own.count() == 0) ranks_->begin_exchange(sum_);
  for (int64_t begin = 0; begin < own.count(); begin += chunk) {
    const int64_t end = std::min(begin + chunk, own.count());
    const bool last = end == own.count();
    if (last) ranks_->begin_exchange(sum_);
    losses.push_back(add_gradients(
        pictures.rows(begin, end), batch.first + static_cast<uint64_t>(own.begin + begin), batch,
        last ? [this] { ranks_->exchange().proceed(); } : std::function<void()>()));
    if (!std::isfinite(losses.back())) {
      if (!last) ranks_->begin_exchange(sum_);
      break;
    }
    if (!last) sum_.add();
  }
  ranks_->exchange().finish();
  if (!in_order && losses.size() > 1) {
    double sum = 0;
    for (const double loss : losses) sum += loss;
    losses = {sum};
  }
  double loss = 0;
  for (const double each : ranks_->all_losses(std::move(losses))) {
    loss += each;
    if (!std::isfinite(loss)) break;
  }
  return loss;
}

void Trainer::serve() {
  while (true) {
    const RankCommand command = ranks_->next_command();
    switch (command.kind) {
      case RankCommand::Kind::kStep:
        steps_ = command.number;
        rate_factor_ = command.rate_factor;
        decayed_ = command.has_decayed != 0 ? std::optional(command.decayed) : std::nullopt;
        do_step();
        break;
      case RankCommand::Kind::kRestart:
        restart_here();
        break;
      case RankCommand::Kind::kShare:
        ranks_->share_network();
        optimizer_->set_steps(command.number);
        break;
      case RankCommand::Kind::kFetch:
        ranks_->fetch(command.number, Tensor());
        break;
      case RankCommand::Kind::kDeliver:
        ranks_->deliver(command.number, Tensor());
        break;
      case RankCommand::Kind::kCheckFinite:
        ranks_->all(is_finite_here());
        break;
      case RankCommand::Kind::kDraw:
        serve_drawing(ranks_->ranks(), network_->device());
        break;
      case RankCommand::Kind::kEnd:
        return;
    }
  }
}

Tensor Trainer::fetch(const Tensor& tensor) {
  if (!ranks_ || tensor.memory().holds_values()) return tensor;
  const int64_t number = ranks_->number_of(tensor);
  // Before the others are told: they would wait if there were no memory for it.
  Tensor values(tensor.shape());
  ranks_->tell({.kind = RankCommand::Kind::kFetch, .number = number});
  ranks_->fetch(number, values);
  return values;
}

std::vector<Tensor> Trainer::fetch_all(std::vector<Tensor> tensors) {
  for (Tensor& tensor : tensors) tensor = fetch(tensor);
  return tensors;
}

void Trainer::deliver(Tensor place, const Tensor& values) {
  if (!ranks_ || place.memory().holds_values()) return place.copy_from(values);
  const int64_t number = ranks_->number_of(place);
  ranks_->tell({.kind = RankCommand::Kind::kDeliver, .number = number});
  ranks_->deliver(number, values);
}

void Trainer::share() {
  if (!ranks_) return;
  ranks_->tell({.kind = RankCommand::Kind::kShare, .number = optimizer_->steps()});
  ranks_->share_network();
}

void Trainer::refresh(Network& averaged) {
  if (!ranks_) return;
  const std::vector<Tensor> average = averages().front().values;
  std::vector<Tensor> to = parameter_tensors(averaged);
  for (size_t i = 0; i < to.size(); ++i) to[i].copy_from(fetch(average[i]));
}

std::unique_ptr<DrawingRanks> Trainer::drawing_ranks(Network& network) {
  if (!ranks_) return nullptr;
  ranks_->tell({.kind = RankCommand::Kind::kDraw});
  auto drawing = std::make_unique<DrawingRanks>(ranks_->ranks());
  drawing->share(network, config_);
  return drawing;
}

std::optional<ExchangeFigures> Trainer::exchange_figures() const {
  if (!ranks_) return std::nullopt;
  return ranks_->exchange().figures();
}

bool Trainer::has_finite_state() {
  if (!ranks_) return is_finite_here();
  ranks_->tell({.kind = RankCommand::Kind::kCheckFinite});
  return ranks_->all(is_finite_here());
}

bool Trainer::is_finite_here() const {
  const auto finite = [](const Tensor& tensor) { return !find_not_finite(tensor); };
  const auto all_finite = [&](const std::vector<Tensor>& tensors) {
    return std::all_of(tensors.begin(), tensors.end(), finite);
  };
  const std::vector<StateTensor> state = optimizer_->state();
  const std::vector<NamedAverage> all = averages();
  return all_finite(parameter_tensors(*network_)) &&
         std::all_of(state.begin(), state.end(),
                     [&](const StateTensor& each) { return finite(each.tensor); }) &&
         std::all_of(all.begin(), all.end(),
                     [&](const NamedAverage& average) { return all_finite(average.values); });
}

}  // namespace ddpm
