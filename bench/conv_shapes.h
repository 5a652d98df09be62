// The convolutions to measure: lines such as "3x3 64->64 on 8x32x32", or with a stride
// "3x3 64->128 on 8x32x32 /2", as `ddpm bench --layers` prints them. Padding is half the kernel.
// Text after "#" and empty lines are skipped.
#pragma once

#include <string>
#include <vector>

#include "ddpm/kernels/cpu/conv/conv.h"

namespace ddpm::bench {

std::string name_of(const cpu::ConvShape& shape);

// The shapes of the files, in their order. Throws Error for a file that cannot be read and for a
// line that is not a shape.
std::vector<cpu::ConvShape> read_shapes(const std::vector<std::string>& files);

}  // namespace ddpm::bench
