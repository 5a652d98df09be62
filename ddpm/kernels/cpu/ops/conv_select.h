// The choice of the algorithm that suits a layer; conv.cpp acts on it.
#pragma once

#include <cstdint>
#include <string>

#include "ddpm/kernels/cpu/conv/conv_shape.h"

namespace ddpm::cpu {

enum class ConvPass { kForward, kBackwardData, kBackwardWeights };
enum class ConvAlgorithm { kDirect, kFewChannels, kWinograd2, kWinograd4 };
// "direct", "few channels", "winograd F(2)", "winograd F(4)".
const char* name_of(ConvAlgorithm algorithm);

// The algorithm that a layer takes. Without by_batch, the choice for the forward pass and for
// backward-data does not depend on the batch, so that the bits of an image do not either. The
// cost of transforming the weights then does not count. The environment variable DDPM_CONV
// overrides the choice: "direct" everywhere, or "winograd" wherever it applies. Throws UsageError
// for another value.
ConvAlgorithm conv_algorithm(const ConvShape& shape, ConvPass pass, bool by_batch = false);
// Outputs per side of a tile, 1 for the direct convolution.
int64_t tile_of(ConvAlgorithm algorithm);
// The name of the algorithm. Where it is not Winograd's, also the reason.
std::string describe_algorithm(const ConvShape& shape, ConvPass pass, bool by_batch = false);

}  // namespace ddpm::cpu
