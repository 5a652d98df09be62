#include "ddpm/autograd/inference.h"

#include <utility>

#include "ddpm/kernels/backend.h"

namespace ddpm {
namespace {

thread_local Inference* current = nullptr;

}  // namespace

Inference::Inference() : previous_(std::exchange(current, this)) {}

Inference::~Inference() { current = previous_; }

Inference::Prepared* Inference::of(const Tensor& w) {
  if (current == nullptr) return nullptr;
  Prepared& prepared = current->prepared_[w.identity()];
  if (!prepared.w.defined()) prepared.w = w;
  return &prepared;
}

bool Inference::active() { return current != nullptr; }

int64_t images_at_once(Device device, const Shape& widest) {
  return backend_for(device).images_at_once(widest);
}

}  // namespace ddpm
