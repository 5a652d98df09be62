// The one interface between models and hardware. `ref` implements every operation in plain loops
// and defines what it means. `cpu` derives from it and overrides what takes time. A GPU backend
// must implement all of it.
#pragma once

#include <cstdint>
#include <string>

#include "ddpm/kernels/operations.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* name() const = 0;

#define DDPM_RUN(Operation) virtual void run(const op::Operation& operation) = 0;
  DDPM_FOR_EACH_OPERATION(DDPM_RUN)
#undef DDPM_RUN

  // Which of its algorithms the backend takes for a convolution and, where it cannot take a faster
  // one, why: words for people. Empty where there is only one.
  virtual std::string algorithm(const op::Conv2d&) const { return ""; }
  virtual std::string algorithm(const op::Conv2dBackwardData&) const { return ""; }
  virtual std::string algorithm(const op::Conv2dBackwardWeights&) const { return ""; }

  // Bytes that a convolution would leave in w.prepared.
  virtual int64_t prepared_bytes(const op::Conv2d&) const { return 0; }

  // How many images a forward pass without gradients should take at once, given the shape of one
  // image's widest activation, [H, W, C]. At least 1; more images only take more memory.
  virtual int64_t images_at_once(const Shape& widest) const = 0;

  // Whether ProjectedLinearAttention is faster than its three operations one after another, for x
  // [N, H, W, C]. It sums x over positions instead of v. With heads of d channels, and width =
  // heads * d, that saves 2 * H * W * width * d multiply-adds per image and costs 2 * C * width *
  // d.
  virtual bool projects_attention(const Shape& x) const { return x[1] * x[2] > x[3]; }
};

// The backend that computes on the tensors of a device. Defined by the table in kernels/select/.
Backend& backend_for(Device device);

// From now on backend_for(device) gives `stand_in` on this thread, until this is called again with
// null. `stand_in` must live until then.
void stand_in_for_backend(Device device, Backend* stand_in);

}  // namespace ddpm
