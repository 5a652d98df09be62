// Which algorithm a layer takes, by what bench_conv measures: count the multiplications that each
// needs for one map, tiles that stick out included, and divide by the share of the machine's peak
// that it reaches. Winograd's share is lower, because its transforms are not counted, and falls
// with the smaller number of channels; on the smallest maps the transformed weights weigh more than
// the products.
#include "ddpm/kernels/cpu/conv_select.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "ddpm/base/error.h"
#include "ddpm/kernels/cpu/tasks.h"
#include "ddpm/kernels/cpu/winograd.h"

namespace ddpm::cpu {
namespace {

// tile: outputs per side; share of the peak with many channels; least channels of x and y, and
// least pixels of a map, from which on it has been seen to win.
struct Row {
  ConvAlgorithm algorithm;
  int64_t tile;
  double share;
  int64_t least_channels, least_pixels;
};
constexpr Row kTable[] = {
    {ConvAlgorithm::kDirect, 1, 0.87, 0, 0},
    {ConvAlgorithm::kWinograd2, 2, 0.70, 32, 16},
    {ConvAlgorithm::kWinograd4, 4, 0.60, 32, 36},
};

double cost(const ConvShape& s, const Row& row) {
  const double tiles =
      static_cast<double>(ceil_div(s.height, row.tile) * ceil_div(s.width, row.tile));
  return tiles * static_cast<double>((row.tile + 2) * (row.tile + 2)) / row.share;
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
    case ConvAlgorithm::kDirect:
      break;
  }
  return "direct";
}

ConvAlgorithm conv_algorithm(const ConvShape& s) {
  static const Override wanted = override_of_environment();
  if (!winograd_applies(s) || wanted == Override::kDirect) return ConvAlgorithm::kDirect;
  const Row* best = nullptr;
  for (const Row& row : kTable) {
    if (wanted == Override::kWinograd) {
      if (row.algorithm == ConvAlgorithm::kDirect) continue;
    } else if (std::min(s.channels, s.outputs) < row.least_channels ||
               s.height * s.width < row.least_pixels) {
      continue;
    }
    if (best == nullptr || cost(s, row) < cost(s, *best)) best = &row;
  }
  return best->algorithm;
}

void conv(const ConvShape& s, const float* x, const float* w, const float* bias, float* y) {
  switch (conv_algorithm(s)) {
    case ConvAlgorithm::kDirect:
      return conv_direct(s, x, w, bias, y);
    case ConvAlgorithm::kWinograd2:
      return conv_winograd(2, s, x, w, bias, y);
    case ConvAlgorithm::kWinograd4:
      return conv_winograd(4, s, x, w, bias, y);
  }
}

void conv_backward_data(const ConvShape& s, const float* dy, const float* w, float* dx) {
  switch (conv_algorithm(s)) {
    case ConvAlgorithm::kDirect:
      return conv_direct_backward_data(s, dy, w, dx);
    case ConvAlgorithm::kWinograd2:
      return conv_winograd_backward_data(2, s, dy, w, dx);
    case ConvAlgorithm::kWinograd4:
      return conv_winograd_backward_data(4, s, dy, w, dx);
  }
}

void conv_backward_weights(const ConvShape& s, const float* x, const float* dy, float* dw,
                           float* dbias) {
  switch (conv_algorithm(s)) {
    case ConvAlgorithm::kDirect:
      return conv_direct_backward_weights(s, x, dy, dw, dbias);
    case ConvAlgorithm::kWinograd2:
      return conv_winograd_backward_weights(2, s, x, dy, dw, dbias);
    case ConvAlgorithm::kWinograd4:
      return conv_winograd_backward_weights(4, s, x, dy, dw, dbias);
  }
}

}  // namespace ddpm::cpu
