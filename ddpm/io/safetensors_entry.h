// What the header of a safetensors file says about its tensors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "ddpm/tensor/shape.h"

namespace ddpm {

using SafetensorsMetadata = std::map<std::string, std::string, std::less<>>;

// One tensor as the header describes it. Its shape is in PyTorch's order.
struct SafetensorsEntry {
  std::string name;
  // As the format writes it: "F32", "I64", ...
  std::string dtype;
  Shape shape;
  // The tensor's bytes are [begin, end) of the data that follows the header.
  int64_t begin = 0;
  int64_t end = 0;
};

}  // namespace ddpm
