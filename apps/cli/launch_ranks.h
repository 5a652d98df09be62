// What `ddpm launch` knows of the ranks that it has started, and what it does when they have ended.
#pragma once

#include <string>
#include <vector>

#include "apps/cli/marks.h"

namespace ddpm::cli {

class LaunchedRanks {
 public:
  // The host of each rank. Empty if it is not known before the rank has started.
  explicit LaunchedRanks(std::vector<std::string> hosts);

  void take(const Mark& mark);

  int count() const { return static_cast<int>(ranks_.size()); }
  std::vector<int> not_started() const;
  std::vector<int> not_joined() const;
  // A rank does not answer the others.
  bool some_lost() const { return !told_lost_.empty(); }
  // They could not connect to each other, which they have said.
  bool never_connected() const { return some_lost() && !not_joined().empty(); }
  // A rank has said why the job ends.
  bool some_failed() const { return some_failed_; }
  // After the end of a job that did not end well: the ranks that did not answer the others, and
  // those that have ended without a word, because they were killed or their host is gone.
  std::vector<int> lost() const;
  // The newest checkpoint, or empty.
  const std::string& saved() const { return saved_; }
  const std::string& host(int rank) const { return ranks_[static_cast<size_t>(rank)].host; }
  // The hosts of all ranks but these.
  std::vector<std::string> hosts_without(const std::vector<int>& ranks) const;
  // "rank 1 (host a) and rank 2 (host b)"
  std::string names(const std::vector<int>& ranks) const;

 private:
  struct Rank {
    std::string host;
    bool started = false, joined = false, told_end = false;
  };
  std::vector<Rank> ranks_;
  std::vector<int> told_lost_;
  bool some_failed_ = false;
  std::string saved_;
};

// Decides whether a training starts again after ranks were lost.
struct Restarts {
  // The fewest ranks that it starts with.
  int min_ranks = 1;
  // The most starts in a row without a new checkpoint.
  int most = 3;

  // Empty if it starts again with this number of ranks. Otherwise it says why not.
  std::string refuse(int ranks, const std::string& saved);

  int used = 0;
  // The newest checkpoint at the last start.
  std::string saved_before;
};

}  // namespace ddpm::cli
