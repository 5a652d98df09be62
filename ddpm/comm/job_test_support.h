// Runs jobs of ranks with mpirun, over TCP.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace ddpm::test {

struct JobOutcome {
  // The exit status of mpirun, or 128 + the signal that ended it. -1 if it had to be killed.
  int status = -1;
  // What all ranks and mpirun have printed.
  std::string output;
  std::chrono::duration<double> time{};
  // The command lines of processes of the job that still run.
  std::vector<std::string> left_over;
};

// A job that is going on. The command is mpirun, or one that runs mpirun. `environment` is added to
// that of the test. A job that has not ended after 60 s is killed.
class Job {
 public:
  Job(std::vector<std::string> command, const std::map<std::string, std::string>& environment);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Waits until it has printed these words. False if it ends without them.
  bool says(const std::string& words) const;
  JobOutcome wait();

 private:
  std::string printed() const;

  std::chrono::steady_clock::time_point start_;
  // Marks the processes of this job in their environment.
  std::string mark_;
  int output_ = -1;
  int process_ = -1;
};

// `mpirun -n RANKS rank_program WORDS...`
JobOutcome run_ranks(int ranks, const std::vector<std::string>& words,
                     const std::map<std::string, std::string>& environment = {});

}  // namespace ddpm::test
