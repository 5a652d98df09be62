// Opens the ranks of a job.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/comm/communicator.h"
#include "ddpm/comm/launch.h"

namespace ddpm {

class Watch;

struct RanksOptions {
  // Receives one line that the user must see before the job ends. Another thread calls it.
  std::function<void(const std::string& line)> report;
  // Receives the ranks that this rank found lost, before the line about them. May be empty. Another
  // thread calls it.
  std::function<void(const std::vector<int>& ranks)> lost;
  // std::getenv, except in tests.
  Environment environment;
  // A rank that nothing has come from for so long is lost.
  std::chrono::milliseconds lost_after = std::chrono::seconds(15);
  // The version of this program. All ranks must have the same.
  std::string version;
  // The most bytes that MPI moves in one call. Smaller only in tests.
  size_t largest_call = size_t{1} << 30;
};

// The ranks of the job that this process belongs to. An MPI launcher starts them. Without one, or
// if it started one process only, this process is alone and MPI is not loaded.
//
// The job ends in all ranks, with a line from each that names the culprit, if a rank is killed,
// stopped or cut off, or if it calls fail().
class Ranks {
 public:
  // Throws UsageError for launchers that cannot start ranks, and Error if MPI cannot be loaded or
  // was not started by this launcher. Later problems end the job, as fail() does.
  explicit Ranks(const RanksOptions& options);
  // Ranks that are connected already, rank world->rank() among them. `close` runs after the
  // communicators have been destroyed.
  Ranks(const RanksOptions& options, std::unique_ptr<Communicator> world,
        std::function<void()> close);
  // Without close(), the same as fail() with a text that does not say why. So catch exceptions and
  // call fail() as long as this object lives.
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  Communicator& communicator() { return *communicator_; }
  int rank() const { return communicator_->rank(); }
  int size() const { return communicator_->size(); }
  bool alone() const { return size() == 1; }
  const Launch& launch() const { return launch_; }

  // What follows a line about a lost rank, such as "the last checkpoint is good".
  void set_loss_note(const std::string& note);

  // Ends well. All ranks must call it. It waits for the others, for as long as they work. Before,
  // all duplicates of the communicator must have been destroyed. No other call may follow.
  void close();

  // Ends the job because this rank failed. This rank reports `text`, and the others report it with
  // the name of this rank. If several ranks fail for the same reason, rank 0 reports it for them.
  // All processes end with `status`. Does not return (in a thread group it throws Error).
  [[noreturn]] void fail(std::string_view text, int status);

 private:
  void join(const RanksOptions& options);
  void compare_versions(const std::string& version);

  Launch launch_;
  std::function<void(const std::string&)> report_;
  std::function<void()> close_;
  std::unique_ptr<Communicator> world_;
  std::unique_ptr<Watch> watch_;
  std::unique_ptr<Communicator> communicator_;
};

}  // namespace ddpm
