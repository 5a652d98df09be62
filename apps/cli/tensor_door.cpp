#include "apps/cli/tensor_door.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"
#include "ddpm/engine/finite.h"
#include "ddpm/io/safetensors.h"

namespace ddpm::cli {
namespace {

constexpr char kNoise[] = "noise";

// Throws UsageError unless the noise has a shape that the model can start from.
void check_noise(const SafetensorsFile& file, const ModelConfig& config) {
  const SafetensorsEntry* entry = file.find(kNoise);
  if (entry == nullptr) {
    fail_usage("sample", fmt::format("{} of --noise has no tensor called noise; it must be "
                                     "[N, C, H, W], or [draws, N, C, H, W]",
                                     file.path()));
  }
  const Shape& shape = entry->shape;
  const int rank = shape.rank();
  if ((rank != 4 && rank != 5) || shape.elements() < 1) {
    fail_usage("sample", fmt::format("noise of {} is {}; it must be [N, C, H, W], or [draws, N, C, "
                                     "H, W]",
                                     file.path(), shape.str()));
  }
  const int64_t channels = config.network.channels();
  if (shape[rank - 3] != channels) {
    fail_usage("sample", fmt::format("noise of {} is {}, with {} channels; the model's pictures "
                                     "have {}",
                                     file.path(), shape.str(), shape[rank - 3], channels));
  }
}

}  // namespace

std::vector<Tensor> read_noise(const std::string& path, const ModelConfig& config, Device device) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  check_noise(file, config);
  Tensor all = file.read(kNoise);
  if (const auto value = find_not_finite(all)) {
    fail_usage("sample",
               fmt::format("noise of {} contains {}; all numbers must be finite", path, *value));
  }
  const Shape& shape = all.shape();
  const int first = shape.rank() - 4;  // the axis of images
  const int64_t draws = first == 0 ? 1 : shape[0], count = shape[first];
  all = from_pytorch(
      all.reshape({draws * count, shape[first + 1], shape[first + 2], shape[first + 3]}),
      Layout::kImage);
  std::vector<Tensor> noise;
  for (int64_t d = 0; d < draws; ++d)
    noise.push_back(all.rows(d * count, (d + 1) * count).to(device));
  return noise;
}

TensorOutput::TensorOutput(const std::string& path, const Shape& images, int64_t steps,
                           bool every_step)
    : file_(path), count_(images[0]), steps_(steps), x_(images) {
  if (every_step) trajectory_ = Tensor({(steps + 1) * count_, images[1], images[2], images[3]});
}

void TensorOutput::add(const GenerateProgress& now) {
  if (!trajectory_.defined()) return;
  const int64_t begin = now.step * count_ + now.begin;
  trajectory_.rows(begin, begin + now.x->size(0)).copy_from(*now.x);
}

void TensorOutput::add(const GeneratedBatch& batch) {
  const int64_t begin = batch.which.front();
  x_.rows(begin, begin + batch.images.size(0)).copy_from(batch.images);
}

void TensorOutput::write() {
  SafetensorsWriter writer;
  writer.add("x", x_, Layout::kImage);
  if (trajectory_.defined()) {
    const Tensor states = to_pytorch(trajectory_, Layout::kImage);
    writer.add("trajectory", states.reshape({steps_ + 1, count_, states.size(1), states.size(2),
                                             states.size(3)}));
  }
  file_.write(writer);
}

}  // namespace ddpm::cli
