// Samples from a network in batches that fit in memory. Image k of a seed is the same picture in
// every batch.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ddpm/base/options.h"
#include "ddpm/diffusion/sampler_options.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

class DrawingRanks;
class Network;
struct Model;

// The progress of a batch. The tensors are valid only during the call. To keep one, clone it.
struct GenerateProgress {
  // How many images of the call come before this batch. Without GenerateOptions::only, this is the
  // number of the batch's first image.
  int64_t begin = 0;
  // As in SampleProgress: 0 before the first evaluation of the network, then 1 ... steps.
  int64_t step = 0;
  int64_t steps = 0;
  // How many images of the call are done on all ranks, where unfinished ones count in part.
  double done = 0;
  // [N, H, W, C]: the input of the next evaluation, or the finished images after the last one.
  const Tensor* x = nullptr;
  // [N, H, W, C]: the last evaluation's estimate of the finished images. Null in step 0.
  const Tensor* x0 = nullptr;
};

// Images that are finished.
struct GeneratedBatch {
  // [N]: the numbers of the images among all images of the call, ascending.
  std::vector<int64_t> which;
  // float32 [N, H, W, C], on the network's device. It may be kept.
  Tensor images;
};
using GenerateSink = std::function<void(const GeneratedBatch&)>;

struct GenerateOptions {
  // Of each class in `labels`, or of all together if that is empty.
  int64_t count = 16;
  uint64_t seed = 0;
  // Generates the images first ... first + count - 1 of the seed.
  int64_t first = 0;
  // The classes to draw, one after the other. -1: no class. Empty: if the network is told classes,
  // image k of the seed is of class k modulo their number.
  std::vector<int64_t> labels = {};
  // Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598): output = none + guidance
  // (classed - none). 1 and 0 take one pass of the network in each step, other values take two.
  // guidance_rescale, from 0 to 1, takes back the contrast that this adds (Lin et al. 2023,
  // arXiv:2305.08891).
  double guidance = 1;
  double guidance_rescale = 0;
  // "LO,HI": guidance acts only where LO <= sigma / alpha <= HI (Kynkaanniemi et al. 2024,
  // arXiv:2404.07724). HI may be inf. Elsewhere each step takes one pass, with the class. Empty: it
  // acts everywhere.
  std::string guidance_interval = {};
  // Autoguidance (Karras et al. 2024, arXiv:2406.02507): a worse model of the same pictures, such
  // as a snapshot of the run or a smaller network. output = its output + guidance (the network's -
  // its output); both get the class. With a guidance of 1 it is not used; 1.5 is usual. It must
  // outlive the call and be on the network's device.
  const Model* guide = nullptr;
  // Other ranks that draw some of the images. They must have been given the network and the guide.
  // Null: this process draws all. The images have the same bits either way.
  DrawingRanks* ranks = nullptr;
  // Calls `progress` for the batches of all ranks, which send the states of every step for it.
  // Otherwise it is called for those of this rank only.
  bool all_states = false;
  // Of each rank.
  int64_t batch = 16;
  // Transforms the weights once instead of in every step. This takes up to four times the memory of
  // the weights until the last picture is done.
  bool prepare_weights = true;
  // Height and width of the images. 0: those of the condition, or else those that the model was
  // trained on.
  int64_t height = 0;
  int64_t width = 0;
  // For a model with a condition (ModelConfig::condition), and for no other: float32 [I, H, W,
  // condition channels] in [-1, 1], where I divides count. Image k of a class gets condition k % I.
  Tensor condition = {};
  // Draws only these of all images, numbered from 0 and ascending. Empty: all. The other images do
  // not change by that.
  std::vector<int64_t> only = {};
  // Recorded noise in place of that of the seed: float32 [images drawn, H, W, C], on the network's
  // device, of standard normal numbers. First that of the start, then that of each step that adds
  // noise. Empty: noise comes from the seed.
  std::vector<Tensor> noise = {};
  // Memory that the caller will take in addition. The memory check includes it.
  int64_t other_bytes = 0;
  // Called before the first evaluation and after each, for every batch. If it returns false,
  // generate() stops on all ranks. The finished batches are kept, and the unfinished one is lost.
  std::function<bool(const GenerateProgress&)> progress = {};
  // The last member, because GCC 12 warns falsely of it where members with destructors follow.
  SamplerOptions sampling;

  // The number of images of all classes together.
  int64_t total() const;
  // How many images all ranks together draw at the same time.
  int64_t at_once() const;

  // The options for users: n (count), seed, those of `sampling`, guidance, guidance_rescale,
  // guidance_interval and batch.
  void fields(Fields& field);
  // Throws UsageError if a number is outside the range of all models, naming the range. It needs no
  // model, so a program can call it before it loads one.
  void check() const;
  // The same, and also for options that do not fit the model: as generate(), but for its memory.
  void check_for(const ModelConfig& config) const;
};

// The seeds of images begin ... begin + count - 1 of those drawn, for initial_noise(). The images
// of all classes start from the same noise: image j of a class depends only on the seed, the class
// and j.
std::vector<uint64_t> generated_seeds(const GenerateOptions& options, int64_t begin, int64_t count);

// Hands each batch to the sink as soon as it is finished, and keeps none, so that memory does not
// grow with the number of images. Returns how many images were finished: all, unless `progress` has
// cancelled the rest. Throws as the other form does, but earlier batches have reached the sink.
int64_t generate(const Network& network, const ModelConfig& config, const GenerateOptions& options,
                 const GenerateSink& sink);

// Returns float32 [total, H, W, C] in [-1, 1], or only the images of GenerateOptions::only. If
// `progress` cancels the rest, there are fewer rows: those of the finished batches. Throws
// UsageError for options that cannot work (no size known, too many steps, a class or guidance that
// the model does not have, a guide that does not fit, more memory than there is, ...) and if the
// network does not predict one value per channel. Throws Error if the network's estimate is not
// finite.
Tensor generate(const Network& network, const ModelConfig& config, const GenerateOptions& options);

}  // namespace ddpm
