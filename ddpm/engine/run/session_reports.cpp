// What a session tells about its steps: validations, metrics.jsonl and TensorBoard's files.
#include <fmt/core.h>

#include <functional>
#include <optional>
#include <string>

#include "ddpm/base/error.h"
#include "ddpm/engine/run/session.h"

namespace ddpm {
namespace {

Board::Scalars scalars_of(const ValidationLoss& validation) {
  Board::Scalars scalars = {{"val_loss", validation.mean}};
  for (size_t bin = 0; bin < validation.by_level.size(); ++bin)
    scalars.emplace_back(fmt::format("val_by_level/{}", bin), validation.by_level[bin]);
  return scalars;
}

}  // namespace

// The loss on the pictures held out, or nothing if the observer stopped it or it failed, which only
// warns.
std::optional<ValidationLoss> RunSession::validate() {
  const ImageSize size = pictures_->image_size();
  const auto go_on = [this](int64_t) { return !observer_.stopping || !observer_.stopping(); };
  std::optional<ValidationLoss> validation;
  attempt("the loss on the pictures held out was not measured", [&] {
    validation = validation_->loss(averaged(), grid_batch(size.height, size.width), go_on);
  });
  return validation;
}

// Makes the validation that is due after the last step, if it was stopped. Returns false if it is
// stopped again.
bool RunSession::complete_validation() {
  if (!validation_due() || !log_->lacks_validation(steps())) return true;
  const std::optional<ValidationLoss> validation = validate();
  if (!validation) return !observer_.stopping || !observer_.stopping();
  attempt("the loss on the pictures held out was not written",
          [&] { log_->add_validation(*validation); });
  tell_board([&](Board& board) { board.add(steps(), scalars_of(*validation)); });
  attempt("the loss curve was not drawn", [&] { log_->draw(); });
  return true;
}

void RunSession::write_line(const StepMetrics& metrics,
                            const std::optional<ValidationLoss>& validation) {
  const double images_per_s = images_since_line_ / seconds_since_line_;
  images_since_line_ = seconds_since_line_ = 0;
  log_->append(metrics, images_per_s, validation);
  report_waiting_lines();
  tell_board([&](Board& board) {
    Board::Scalars scalars = {{"loss", metrics.loss},
                              {"grad_norm", metrics.gradient_norm},
                              {"lr", metrics.learning_rate},
                              {"images_per_s", images_per_s}};
    if (validation) {
      const Board::Scalars more = scalars_of(*validation);
      scalars.insert(scalars.end(), more.begin(), more.end());
    }
    board.add(metrics.step, scalars);
  });
}

// A failure only warns, and only once in a session.
void RunSession::tell_board(const std::function<void(Board&)>& tell) {
  if (!board_) return;
  try {
    tell(*board_);
  } catch (const Error& error) {
    if (!warned_of_board_)
      warn(fmt::format("TensorBoard's file lacks some of what was to be written to it: {}",
                       error.what()));
    warned_of_board_ = true;
  }
}

}  // namespace ddpm
