// A backend that computes nothing and counts: a network run on Device::kDry takes no memory (what
// it would take is told by DryMemory) and leaves its arithmetic here.
// What a run will need is thus told by the code that will run, not by a second description of the
// network.
#pragma once

#include <memory>

#include "ddpm/kernels/backend.h"

namespace ddpm {

// Floating-point operations of the matrix products and convolutions (a multiply-add is two) on this
// thread since the last call; elementwise work is not counted.
double take_dry_flops();

// `model` is the backend that it stands for: it answers its queries and takes the memory that it
// would keep for prepared weights. `model` must outlive it.
std::unique_ptr<Backend> make_dry_backend(const Backend& model);

}  // namespace ddpm
