// A backend that computes nothing and counts. A network that runs on Device::kDry takes no memory,
// and its arithmetic is counted here; DryMemory counts the memory that it would take. So the code
// that will run tells what a run needs, not a second description of the network.
#pragma once

#include <memory>

#include "ddpm/kernels/backend.h"

namespace ddpm {

// Floating-point operations of the matrix products and convolutions (a multiply-add is two) on this
// thread since the last call; elementwise work is not counted.
double take_dry_flops();

// It takes the place of `model`: it answers queries as `model` does, and counts the memory that
// `model` would keep for prepared weights. `model` must outlive it.
std::unique_ptr<Backend> make_dry_backend(const Backend& model);

}  // namespace ddpm
