// One run of mpirun by `ddpm launch`: its process, its output and the signals.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/launch_ranks.h"
#include "apps/cli/marks.h"

namespace ddpm::cli {

// Receives the signals that ask to stop, and the news of processes that have ended, instead of the
// handlers. A signal that was ignored stays ignored.
class LaunchSignals {
 public:
  LaunchSignals();
  ~LaunchSignals();
  LaunchSignals(const LaunchSignals&) = delete;
  LaunchSignals& operator=(const LaunchSignals&) = delete;

  // Readable if there is one.
  int descriptor() const { return descriptor_; }
  // 0 if there is none.
  int next() const;
  // Until there is one, and no longer than this.
  void wait(std::chrono::milliseconds time) const;

  // How often the user asked to stop. Signals that come together count once.
  int requests = 0;
  // They asked to end without a save.
  bool at_once = false;
  std::chrono::steady_clock::time_point last_request;

 private:
  int descriptor_;
};

struct LaunchEnd {
  // The exit status of mpirun, or 128 + the signal that ended it.
  int status = 0;
  bool killed = false;
  // Some ranks did not start or did not connect in time. That was said.
  bool incomplete = false;
};

class LaunchJob {
 public:
  // `start` is the value of kMarkVariable. `saves`: the first request to stop lets it save.
  LaunchJob(std::vector<std::string> words, const std::string& start,
            std::chrono::milliseconds start_timeout, LaunchedRanks& ranks, LaunchSignals& signals,
            bool saves);
  // Ends what is left.
  ~LaunchJob();
  LaunchJob(const LaunchJob&) = delete;
  LaunchJob& operator=(const LaunchJob&) = delete;

  // Returns when all its processes on this machine have ended.
  LaunchEnd run();

 private:
  using Clock = std::chrono::steady_clock;
  // What is waited for. `deadline_` is the end of the wait.
  enum class Phase { kStarting, kJoining, kRunning, kEnding, kTerminating, kKilled };

  void start_process();
  void wait();
  void read_output();
  void take_signals();
  void take_stop(int signal);
  void suspend() const;
  bool reap();
  void end_others();
  void enter(Phase phase, std::optional<std::chrono::milliseconds> time = std::nullopt);
  void follow_ranks();
  void pass_deadline();
  bool has_ranks_here();
  void end_if_stuck();
  void say_missing(const std::vector<int>& missing, const std::string& what) const;

  std::vector<std::string> words_;
  const std::chrono::milliseconds start_timeout_;
  LaunchedRanks& ranks_;
  LaunchSignals& signals_;
  const bool saves_;
  MarkReader marks_;
  pid_t mpirun_ = -1;
  int output_ = -1;
  Phase phase_ = Phase::kStarting;
  std::optional<Clock::time_point> deadline_;
  // mpirun had processes on this machine, and since when it has none.
  bool had_ranks_ = false;
  std::optional<Clock::time_point> no_ranks_since_;
  bool stuck_ = false;
  LaunchEnd end_;
};

}  // namespace ddpm::cli
