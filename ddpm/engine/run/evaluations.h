// The evaluations of a run while it trains: eval.jsonl, the curve eval.png, and which step was the
// best. Private to engine/run/.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/engine/run/run.h"
#include "ddpm/eval/frechet.h"

namespace ddpm {

class DrawingRanks;
class Network;

// RUN/eval.jsonl: a line per evaluation, with rising steps. The file is always whole.
class EvaluationLog {
 public:
  // Reads the file, if there is one. Lines of steps after `last_step`, of a session that was
  // killed, are removed, and so are damaged lines. Throws SystemError if it cannot be read or
  // written.
  EvaluationLog(const std::string& run, int64_t last_step);

  bool has(int64_t step) const;
  // Whether no distance so far, of as many pictures and the same features, is as small.
  bool would_be_best(const RunEvaluation& evaluation) const;
  // Appends a line and draws RUN/eval.png. Throws SystemError if that fails.
  void add(const RunEvaluation& evaluation);

 private:
  void write() const;

  std::string run_;
  std::vector<RunEvaluation> all_;
};

// Draws pictures with a network and compares them with those of the training, as `ddpm eval --n
// COUNT` does with random features.
class RunJudge {
 public:
  // The statistics of the pictures are computed by the first judge().
  RunJudge(std::shared_ptr<const Pictures> pictures, int64_t count)
      : pictures_(std::move(pictures)), count_(count) {}

  // The name of the network of features.
  std::string features() const;
  // Why the distances will be too large: too few pictures. Empty if there are enough.
  std::string doubt() const;
  // The Frechet distance. `ranks` draw together with this process; null if there are none. Throws
  // Error as generate() does, also if stopping() returns true between two steps of the drawing.
  double frechet(const Network& network, const ModelConfig& config, DrawingRanks* ranks,
                 const std::function<bool()>& stopping);

 private:
  std::shared_ptr<const Pictures> pictures_;
  int64_t count_;
  std::optional<FeatureStatistics> real_;
};

}  // namespace ddpm
