// Which algorithm a layer takes, by a model of its time:
//
//   multiplications of one map / share of the peak * (1 + t / tiles)
//
// The multiplications include those of tiles that reach beyond the map. They reach the given share
// of the machine's peak where there are many tiles. Some work is done once for all tiles:
// transforming the weights or their gradient, packing, fetching. It takes as long as the products
// of t tiles. The constants come from measurements of single layers whose weights are fetched from
// memory, as they are in a network. The model is within a fifth of the measured times. It chooses
// as they do, except where two algorithms take about the same time.
#include "ddpm/kernels/cpu/ops/conv_select.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "ddpm/base/error.h"
#include "ddpm/kernels/cpu/conv/few_channels.h"
#include "ddpm/kernels/cpu/winograd/winograd.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

struct Row {
  ConvAlgorithm algorithm;
  // Outputs per side.
  int64_t tile;
  // Of the peak. Winograd's transforms of maps count as time without work.
  double share;
  // t of each pass.
  double forward, data, weights;
  // t where the weights were transformed before and are only fetched.
  double kept;
  // Of x and y.
  int64_t least_channels;
};
constexpr Row kTable[] = {
    {ConvAlgorithm::kDirect, 1, 0.87, 48, 32, 24, 0, 0},
    {ConvAlgorithm::kWinograd2, 2, 0.80, 15, 18, 15, 6, 16},
    {ConvAlgorithm::kWinograd4, 4, 0.75, 8, 10, 8, 6, 16},
};
// Where the choice must not depend on the batch, it is made for this number of images. It is small,
// because latency counts too.
constexpr double kFewImages = 3;

double cost(const ConvShape& s, ConvPass pass, bool by_batch, const Row& row) {
  const bool any_batch = pass != ConvPass::kBackwardWeights && !by_batch;
  const double tiles =
      static_cast<double>(ceil_div(s.height, row.tile) * ceil_div(s.width, row.tile));
  const double products = tiles * static_cast<double>((row.tile + 2) * (row.tile + 2)) / row.share;
  const double t = any_batch                         ? row.kept
                   : pass == ConvPass::kForward      ? row.forward
                   : pass == ConvPass::kBackwardData ? row.data
                                                     : row.weights;
  const double images = any_batch ? kFewImages : static_cast<double>(std::max<int64_t>(1, s.batch));
  return products * (1 + t / (tiles * images));
}

enum class Override { kNone, kDirect, kWinograd };

Override override_of_environment() {
  const char* value = std::getenv("DDPM_CONV");
  const std::string name = value ? value : "";
  if (name.empty()) return Override::kNone;
  if (name == "direct") return Override::kDirect;
  if (name == "winograd") return Override::kWinograd;
  fail_usage("DDPM_CONV", "unknown algorithm '" + name + "'; it can be direct or winograd");
}

}  // namespace

const char* name_of(ConvAlgorithm algorithm) {
  switch (algorithm) {
    case ConvAlgorithm::kWinograd2:
      return "winograd F(2)";
    case ConvAlgorithm::kWinograd4:
      return "winograd F(4)";
    case ConvAlgorithm::kFewChannels:
      return "few channels";
    case ConvAlgorithm::kDirect:
      break;
  }
  return "direct";
}

int64_t tile_of(ConvAlgorithm algorithm) {
  for (const Row& row : kTable) {
    if (row.algorithm == algorithm) return row.tile;
  }
  return 1;
}

ConvAlgorithm conv_algorithm(const ConvShape& s, ConvPass pass, bool by_batch) {
  static const Override wanted = override_of_environment();
  if (few_channels_apply(s) && wanted != Override::kDirect) return ConvAlgorithm::kFewChannels;
  if (!winograd_applies(s) || s.height * s.width == 0 || wanted == Override::kDirect) {
    return ConvAlgorithm::kDirect;
  }
  const Row* best = nullptr;
  for (const Row& row : kTable) {
    const bool allowed = wanted == Override::kWinograd
                             ? row.algorithm != ConvAlgorithm::kDirect
                             : std::min(s.channels, s.outputs) >= row.least_channels;
    if (allowed &&
        (best == nullptr || cost(s, pass, by_batch, row) < cost(s, pass, by_batch, *best))) {
      best = &row;
    }
  }
  return best->algorithm;
}

std::string describe_algorithm(const ConvShape& s, ConvPass pass, bool by_batch) {
  const ConvAlgorithm algorithm = conv_algorithm(s, pass, by_batch);
  if (algorithm != ConvAlgorithm::kDirect) return name_of(algorithm);
  if (s.kernel_height == 1 && s.kernel_width == 1) return "matrix product";
  if (s.kernel_height != 3 || s.kernel_width != 3) return "direct: not 3x3";
  if (s.stride != 1) return "direct: stride > 1";
  if (s.padding != 1) return "direct: padding is not 1";
  if (std::min(s.channels, s.outputs) < kTable[1].least_channels) {
    return fmt::format("direct: below {} channels", kTable[1].least_channels);
  }
  return override_of_environment() == Override::kDirect ? "direct: DDPM_CONV" : "direct: few tiles";
}

}  // namespace ddpm::cpu
