// How a training that ends by the clock ends on time. Private to engine/run/.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "ddpm/engine/run/forecast.h"
#include "ddpm/engine/run/line_log.h"

namespace ddpm {

// RUN/clock.jsonl: a line for each decision about how many steps are left. A line of step s says:
// when the run had taken `elapsed` seconds of its `budget`, in all its sessions, step s was done,
// and with it the share `progress` of the training; `steps_left` more steps were planned. The
// progress rises evenly to 1 over these steps, and the learning rate follows it. After the last
// step it is 1, also if the clock ends the training earlier than planned. So the end and the
// learning rates of a run follow from its lines alone, and a run that follows the lines of another
// ends with the same bits.
//
// A run that goes back to an earlier step, because it was killed or because its guard returned,
// writes a line of that step. It replaces the lines of that step and of later ones. What these had
// planned cannot be kept: the steps that are done again would make the training end late.
class Pace {
 public:
  // Reads the file, if there is one. Damaged lines are left out. Without a budget the run follows
  // the lines that there are and writes none. Throws SystemError if the file cannot be read.
  Pace(std::string path, std::optional<double> budget);

  std::optional<double> budget() const { return budget_; }
  int64_t damaged_lines() const { return damaged_; }
  bool has_plan() const { return !lines_.empty(); }
  // The step that is planned to be the last. Only with a plan.
  int64_t last_step() const;
  // The seconds of earlier sessions: those of the newest line.
  double elapsed_before() const { return elapsed_; }
  // The budget of the newest line. Only with a plan.
  double budget_before() const;

  // The share of the training that is done after a step, between 0 and 1.
  double progress(int64_t step) const;
  // How much of the fall of a learning rate is done after a step, if it falls from the step `start`
  // until the end.
  double decayed(int64_t start, int64_t step) const;

  // Decides after a step how many are left, if the last decision is older than a hundredth of the
  // budget or a tenth of the time that is left. Also decides when the time of the first steps of a
  // session is known. `elapsed` counts all sessions.
  void plan(int64_t step, double elapsed, Forecast& forecast);
  // Makes a plan if there is none, so that a run can be continued from this step.
  void require_plan(int64_t step, double elapsed, const Forecast& forecast);
  // The run goes on after this step: a session begins, or the run goes back. A run whose planned
  // steps are done stays as it is, unless it got another budget. From step 0 at least one step is
  // done.
  void go_on_from(int64_t step, double elapsed);
  // A session ends after this step.
  void close(int64_t step, double elapsed);

  // Writes the lines that wait for space. Throws SystemError, also if the disk is full.
  void sync() { log_.sync(); }
  // The lines that count, as the text of a file.
  std::string text() const;

 private:
  struct Line {
    int64_t step = 0;
    double elapsed = 0, budget = 0, progress = 0;
    int64_t steps_left = 0;

    static Line read(const JsonObject& object);
    JsonObject json() const;
  };

  void use(const Line& line);
  void add(int64_t step, double elapsed, double progress, int64_t steps_left);
  const Line& newest() const { return lines_.rbegin()->second; }
  // The line that decides about a step. Null before the first.
  const Line* line_at(int64_t step) const;
  double steps_per_second() const;

  std::optional<double> budget_;
  LineLog log_;
  int64_t damaged_ = 0;
  double elapsed_ = 0;
  // By step.
  std::map<int64_t, Line> lines_;
  // The time of the steps of this session was known at the last decision.
  bool settled_ = false;
};

}  // namespace ddpm
