// What all ranks of a call of generate() do: drawing some of its images. Private to engine/.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "ddpm/autograd/inference.h"
#include "ddpm/data/pixels.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sample_request.h"
#include "ddpm/engine/denoiser.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/image_inputs.h"

namespace ddpm {

ImagesAsked asked_by(const GenerateOptions& options);

// The sides of the images: those asked for, or those of the condition, or those trained on. Throws
// UsageError if none are known.
ImageSize sides(const ModelConfig& config, const GenerateOptions& options);

class Generation {
 public:
  // kept: the pictures stay in memory until the last is done. The arguments must outlive this
  // object, and check_for() must have accepted them. Throws UsageError if there is not enough
  // memory.
  Generation(const Network& network, const ModelConfig& config, const GenerateOptions& options,
             bool kept);

  // [H, W, C]
  Shape image() const { return {size_.height, size_.width, channels_}; }
  // How many images are drawn.
  int64_t drawn() const { return drawn_; }

  using Progress = std::function<bool(const SampleProgress&)>;
  // The images begin ... begin + count - 1 of those drawn. None if progress(), which may be empty,
  // has returned false before they were finished.
  std::optional<Tensor> draw(int64_t begin, int64_t count, const Progress& progress) const;
  // The same images for a sink.
  GeneratedBatch batch(int64_t begin, const Tensor& images) const;

 private:
  int64_t most_at_once(const ModelConfig& config, bool kept);

  const Network& network_;
  const ModelConfig& config_;
  const GenerateOptions& options_;
  const ImagesAsked asked_;
  const ImageSize size_;
  const int64_t drawn_;
  int64_t channels_ = 0;  // set before denoisers_
  const Process process_;
  const Denoisers denoisers_;
  std::optional<Inference> scope_;
};

}  // namespace ddpm
