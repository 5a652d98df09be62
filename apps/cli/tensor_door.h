// ddpm sample --noise and --tensors: recorded noise in, states of the sampler out, to compare with
// other programs. Files hold [N, C, H, W].
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apps/cli/outputs.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm::cli {

// Reads the tensor `noise` of a file: [N, C, H, W] for the start, or [draws, N, C, H, W] in the
// order of use. Returns the draws, each [N, H, W, C]. Throws UsageError if the file does not hold
// that, or not for the channels of the model.
std::vector<Tensor> read_noise(const std::string& path, const ModelConfig& config, Device device);

// The file of --tensors.
class TensorOutput {
 public:
  // images: of all, [N, H, W, C]. steps: evaluations of the network.
  TensorOutput(const std::string& path, const Shape& images, int64_t steps, bool every_step);
  // To be called with the progress of every step, also step 0, and with every finished batch.
  void add(const GenerateProgress& now);
  void add(const GeneratedBatch& batch);
  // x [N, C, H, W] and with every_step also trajectory [steps + 1, N, C, H, W].
  void write();

 private:
  OutputFile file_;
  const int64_t count_;
  const int64_t steps_;
  Tensor x_;           // [N, H, W, C]
  Tensor trajectory_;  // [(steps + 1) * N, H, W, C], undefined without every_step
};

}  // namespace ddpm::cli
