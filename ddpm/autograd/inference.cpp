#include "ddpm/autograd/inference.h"

#include <utility>

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

}  // namespace ddpm
