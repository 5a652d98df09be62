// Forward passes with weights that do not change, such as sampling.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// While an Inference object exists, the operations of its thread record nothing. Convolutions
// prepare their weights (moments, transformed and packed copies: up to four times the weights) once
// and keep them until the object ends. No weight may change during that time. Scopes may be nested;
// the innermost one is used.
class Inference {
 public:
  Inference();
  ~Inference();
  Inference(const Inference&) = delete;
  Inference& operator=(const Inference&) = delete;

  // For operations: what is kept for the weights w.
  struct Prepared {
    // Held so that no other tensor gets its storage while the scope exists.
    Tensor w;
    Tensor mean, rstd;
    std::shared_ptr<void> backend;
  };
  // Null if this thread is in no Inference scope.
  static Prepared* of(const Tensor& w);
  static bool active();

 private:
  // The key is Tensor::identity().
  std::map<std::pair<const void*, int64_t>, Prepared> prepared_;
  Inference* previous_;
};

// How many images a forward pass should process at once on a device. `widest` is the shape of one
// image's largest activation, [H, W, C]. At least 1.
int64_t images_at_once(Device device, const Shape& widest);

}  // namespace ddpm
