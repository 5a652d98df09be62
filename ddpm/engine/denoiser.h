// The network as the samplers call it: with the class and the condition of each image of a batch,
// and with guidance.
#pragma once

#include <cstdint>
#include <utility>

#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sample_request.h"
#include "ddpm/engine/image_inputs.h"
#include "ddpm/engine/model_config.h"

namespace ddpm {

class Network;

// The network with the inputs of a batch, on at most `most` images at a time. The network must
// outlive the denoiser. It throws Error if the network's output is not finite.
Denoiser denoiser_for(const Network& network, const ImageInputs& inputs, int64_t most);

// The denoisers of the batches of a call of generate().
class Denoisers {
 public:
  // `most`: how many images pass a network at once. The network, the configuration and asked.guide
  // must outlive this object and its denoisers. `asked` must have been checked
  // (check_image_inputs()).
  Denoisers(const Network& network, const ModelConfig& config, ImagesAsked asked, int64_t most)
      : network_(network),
        config_(config),
        asked_(std::move(asked)),
        most_(most),
        process_(config.process) {}

  // For images begin ... begin + count - 1 of all. It throws Error if the network's output is not
  // finite.
  Denoiser of(int64_t begin, int64_t count) const;

 private:
  Denoiser with(Labels labels, int64_t begin, int64_t count) const;
  Denoiser of_guide(int64_t begin, int64_t count) const;
  // The denoiser at the levels that are guided.
  Denoiser of_guided(int64_t begin, int64_t count) const;

  const Network& network_;
  const ModelConfig& config_;
  const ImagesAsked asked_;
  const int64_t most_;
  const Process process_;
};

}  // namespace ddpm
