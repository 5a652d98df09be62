// Opens the ranks of a job.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ddpm/comm/communicator.h"
#include "ddpm/comm/launch.h"

namespace ddpm {

struct MpiPlugin;

struct RanksOptions {
  // Receives one line, without "ddpm: ", that the user must see before the job ends. Other threads
  // call it.
  std::function<void(const std::string& line)> report;
  // std::getenv, except in tests.
  Environment environment;
  // A rank that nothing has come from for so long is lost.
  std::chrono::milliseconds lost_after = std::chrono::seconds(15);
  // Of this program. Must be the same in all ranks.
  std::string version;
  // The most bytes that MPI moves in one call. Smaller only in tests.
  size_t largest_call = size_t{1} << 30;
};

// The ranks of the job that this process belongs to. They are started by an MPI launcher. Without
// one, or if it started one process only, this process is alone and MPI is not loaded.
class Ranks {
 public:
  explicit Ranks(const RanksOptions& options);
  // Without close() or fail(), tells the other ranks that this rank ended too early, and ends the
  // job.
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  Communicator& communicator() { return *communicator_; }
  bool alone() const { return communicator_->size() == 1; }
  const Launch& launch() const { return launch_; }

  // Ends well. All ranks must call it. It waits for the others, for as long as they work. Before,
  // all duplicates of the communicator must have been destroyed.
  void close();

 private:
  Launch launch_;
  const MpiPlugin* plugin_ = nullptr;
  std::unique_ptr<Communicator> world_, communicator_;
};

}  // namespace ddpm
