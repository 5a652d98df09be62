// What a run does about steps whose loss or gradient is not finite. Private to engine/run/.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ddpm/engine/run/line_log.h"

namespace ddpm {

// RUN/guard.jsonl: a line for each step that was skipped, and for each return to an earlier step.
// What a run does follows from these lines, so a resumed run makes the same decisions, even about
// faults that do not occur again.
//
// A step whose loss or gradient is not finite is skipped: it changes no weights. After kInARow
// such steps in a row the run returns to its newest sound checkpoint, and goes on from there with
// half the learning rate. It stops when it would return to the same step once more than kReturns
// times.
class Guard {
 public:
  static constexpr int kInARow = 3, kReturns = 3;

  // Reads the file of a run, if there is one. Damaged lines are left out. Throws SystemError if it
  // cannot be read.
  explicit Guard(const std::string& run);

  int64_t damaged_lines() const { return damaged_; }

  // The factor of the learning rate at a step (1, 2, ...).
  double rate(int64_t step) const;
  // Whether a step was skipped in an earlier session.
  bool skips(int64_t step) const { return skipped_.contains(step); }
  // Why it was. Empty if it was not.
  std::string why(int64_t step) const;
  // How many steps before `step` were skipped without one between that was not.
  int in_a_row(int64_t step) const;
  // How often the run returned to a step.
  int returns_to(int64_t step) const;

  // Both write a line as LineLog does. `pictures` are the names of those in the step's batch.
  void skipped(int64_t step, const std::string& why, const std::vector<std::string>& pictures);
  // The run goes on after the step `to`, with half the rate. What was decided about later steps no
  // longer holds.
  void returned(int64_t from, int64_t to);
  // Writes the lines that wait. Throws SystemError, also if the disk is full.
  void sync() { log_.sync(); }

 private:
  void use(const JsonObject& line);
  void apply_return(int64_t to, double rate);

  LineLog log_;
  int64_t damaged_ = 0;
  // The reason for each step.
  std::map<int64_t, std::string> skipped_;
  // The rate from each step on.
  std::map<int64_t, double> rates_;
  // The steps that the run returned to, in the order of time.
  std::vector<int64_t> returns_;
};

}  // namespace ddpm
