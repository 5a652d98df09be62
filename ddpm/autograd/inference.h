// Forward passes with weights that stay as they are: sampling.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// While one lives, operations of its thread record nothing, and what convolutions make of their
// weights (moments, transformed and packed copies: up to four times the weights) is made once and
// kept until its end. No weight may change meanwhile. Scopes may be nested; the innermost counts.
class Inference {
 public:
  Inference();
  ~Inference();
  Inference(const Inference&) = delete;
  Inference& operator=(const Inference&) = delete;

  // For operations: what is kept with the weights w.
  struct Prepared {
    Tensor w;  // so that its storage is nobody else's meanwhile
    Tensor mean, rstd;
    std::shared_ptr<void> backend;
  };
  // Null where this thread is in no scope.
  static Prepared* of(const Tensor& w);
  static bool active();

 private:
  std::map<std::pair<const void*, int64_t>, Prepared> prepared_;  // by Tensor::identity()
  Inference* previous_;
};

// How many images a pass should take at once on a device, given the shape of one image's widest
// activation, [H, W, C]; at least 1.
int64_t images_at_once(Device device, const Shape& widest);

}  // namespace ddpm
