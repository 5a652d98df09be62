// Gives the batches of the steps of a run, and tells its pictures which batches come next. Private
// to engine/run/.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ddpm/data/batch_sampler.h"
#include "ddpm/data/pictures.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/engine/train_options.h"
#include "ddpm/parallel/shards.h"

namespace ddpm {

class BatchFeed {
 public:
  BatchFeed(std::shared_ptr<const Pictures> pictures, const BatchSamplerOptions& options)
      : pictures_(std::move(pictures)), sampler_(options) {}

  // end: the number of all steps. No batch is prepared for a step that does not come.
  void set_end(int64_t end) { end_ = end; }

  // at() gives only this part of each batch.
  void set_part(const Range& part) { part_ = part; }

  // The batch of a step, checked. Steps may come in any order, but prefetching helps if each
  // follows on the one before.
  Batch at(int64_t step);

  // Which pictures are in the whole batch of a step.
  BatchPlan plan(int64_t step) { return sampler_.at(step); }

 private:
  std::shared_ptr<const Pictures> pictures_;
  BatchSampler sampler_;
  int64_t end_ = kMostTrainedSteps;
  std::optional<Range> part_;
  // The plans of the step first_ and of those after it.
  std::vector<BatchPlan> plans_;
  int64_t first_ = 0;
};

// The batches that a run with these options learns from.
BatchFeed feed_of(std::shared_ptr<const Pictures> pictures, const TrainOptions& options);

}  // namespace ddpm
