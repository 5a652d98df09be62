#include "ddpm/eval/inception_layer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/errors.h"
#include "tests/support/gradients.h"

namespace ddpm {
namespace {

using ddpm::test::message_of;
using ddpm::test::random_tensor;

using StateDict = std::map<std::string, Tensor>;  // in our order of axes

StateDict random_layer(const InceptionConv& s) {
  StateDict dict = {
      {"l.conv.weight", random_tensor({s.kernel_height, s.kernel_width, s.in, s.out}, 1)},
      {"l.bn.weight", random_tensor({s.out}, 2)},
      {"l.bn.bias", random_tensor({s.out}, 3)},
      {"l.bn.running_mean", random_tensor({s.out}, 4)},
      {"l.bn.running_var", random_tensor({s.out}, 5)}};
  for (int64_t k = 0; k < s.out; ++k) {
    float& variance = dict["l.bn.running_var"].f32()[k];
    variance = std::abs(variance);
  }
  return dict;
}

StateDictSource source_of(const StateDict& dict) {
  return [&dict](const std::string& name, const Shape&, Layout) { return dict.at(name); };
}

// By the definitions, in double.
Tensor plain_layer(const StateDict& dict, const InceptionConv& s, const Tensor& x) {
  const int64_t height = x.size(1), width = x.size(2);
  const int64_t rows = (height + 2 * s.pad_rows - s.kernel_height) / s.stride + 1;
  const int64_t columns = (width + 2 * s.pad_columns - s.kernel_width) / s.stride + 1;
  const float* w = dict.at("l.conv.weight").f32();
  Tensor y({x.size(0), rows, columns, s.out});
  float* out = y.f32();
  for (int64_t p = 0; p < y.elements(); ++p) {
    const int64_t k = p % s.out, column = p / s.out % columns, row = p / s.out / columns % rows;
    const int64_t n = p / s.out / columns / rows;
    double sum = 0;
    for (int64_t i = 0; i < s.kernel_height; ++i) {
      for (int64_t j = 0; j < s.kernel_width; ++j) {
        const int64_t h = row * s.stride + i - s.pad_rows,
                      v = column * s.stride + j - s.pad_columns;
        if (h < 0 || h >= height || v < 0 || v >= width) continue;
        for (int64_t c = 0; c < s.in; ++c) {
          sum += double{x.f32()[((n * height + h) * width + v) * s.in + c]} *
                 w[((i * s.kernel_width + j) * s.in + c) * s.out + k];
        }
      }
    }
    const auto bn = [&](const char* what) -> double {
      return dict.at(std::string("l.bn.") + what).f32()[k];
    };
    const double normal = (sum - bn("running_mean")) / std::sqrt(bn("running_var") + 0.001);
    out[p] = static_cast<float>(std::max(0.0, normal * bn("weight") + bn("bias")));
  }
  return y;
}

TEST(InceptionLayer, ComputesEveryFormOfConvolution) {
  for (const InceptionConv& shape :
       {InceptionConv{.in = 5, .out = 7},
        InceptionConv{.in = 3, .out = 32, .kernel_height = 3, .kernel_width = 3, .stride = 2},
        InceptionConv{.in = 16, .out = 24, .kernel_height = 3, .kernel_width = 3},
        InceptionConv{.in = 16,
        .out = 16,
        .kernel_height = 3,
        .kernel_width = 3,
        .pad_rows = 1,
        .pad_columns = 1},
        InceptionConv{.in = 6,
        .out = 8,
        .kernel_height = 5,
        .kernel_width = 5,
        .pad_rows = 2,
        .pad_columns = 2},
        InceptionConv{.in = 8, .out = 4, .kernel_height = 1, .kernel_width = 7, .pad_columns = 3},
        InceptionConv{.in = 8, .out = 4, .kernel_height = 7, .kernel_width = 1, .pad_rows = 3}}) {
    const StateDict dict = random_layer(shape);
    const Tensor x = random_tensor({2, 11, 9, shape.in}, 6);
    const Tensor wanted = plain_layer(dict, shape, x);
    const Tensor got = InceptionLayer(source_of(dict), "l", shape)(x);
    EXPECT_LE(test::relative_l2(got, wanted), test::Tolerance::kOperation)
        << shape.kernel_height << "x" << shape.kernel_width << ", stride " << shape.stride;
    EXPECT_GT(*std::max_element(got.f32(), got.f32() + got.elements()), 0);
    EXPECT_EQ(*std::min_element(got.f32(), got.f32() + got.elements()), 0);
  }
}

TEST(InceptionLayer, RefusesWeightsThatAreNotFinite) {
  const InceptionConv shape{.in = 2, .out = 2};
  for (const char* name : {"l.conv.weight", "l.bn.bias", "l.bn.running_var"}) {
    StateDict dict = random_layer(shape);
    dict[name].f32()[1] =
        std::string(name) == "l.bn.running_var" ? -1 : std::numeric_limits<float>::infinity();
    const auto make = [&] { InceptionLayer(source_of(dict), "l", shape); };
    EXPECT_NE(message_of(make).find("the layer l has weights that are not finite"),
              std::string::npos);
  }
}

TEST(InceptionPool, TakesMaximaAndMeansInsideTheMap) {
  const Tensor x = Tensor::of({1, 3, 4, 1}, {-1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12});
  EXPECT_EQ(inception_pool(InceptionPool::kMaximum, x).values(),
            (std::vector<float>{-1, -1, -2, -3, -1, -1, -2, -3, -5, -5, -6, -7}));
  EXPECT_EQ(inception_pool(InceptionPool::kMean, x).values(),
            (std::vector<float>{-3.5, -4, -5, -5.5, -5.5, -6, -7, -7.5, -7.5, -8, -9, -9.5}));
  const Tensor halved = inception_pool(InceptionPool::kMaximumHalving, x);
  EXPECT_EQ(halved.shape(), Shape({1, 1, 1, 1}));
  EXPECT_EQ(halved.values(), std::vector<float>{-1});
  EXPECT_EQ(inception_pool(InceptionPool::kMaximumHalving, Tensor({2, 7, 9, 3})).shape(),
            Shape({2, 3, 4, 3}));
}

TEST(InceptionMaps, AreJoinedAndAveraged) {
  const Tensor a = Tensor::of({2, 1, 2, 1}, {1, 2, 3, 4});
  const Tensor b = Tensor::of({2, 1, 2, 2}, {10, 20, 30, 40, 50, 60, 70, 80});
  const Tensor both = concat_maps({a, b});
  EXPECT_EQ(both.values(), (std::vector<float>{1, 10, 20, 2, 30, 40, 3, 50, 60, 4, 70, 80}));
  EXPECT_EQ(mean_over_positions(both).values(), (std::vector<float>{1.5, 20, 30, 3.5, 60, 70}));
}

TEST(BilinearPictures, ReadTheFourNearestPixelsAtAnyScale) {
  Tensor image({1, 1, 8, 1}, DType::kUInt8);
  for (int i = 0; i < 8; ++i) image.u8()[i] = static_cast<uint8_t>(30 * i);
  const auto expect_at = [](const Tensor& row, int64_t i, double byte) {
    EXPECT_NEAR((row.f32()[3 * i] + 1) * 127.5, byte, 1e-4) << "pixel " << i;
  };
  // Halved: the mean of two neighbours, because the centre lies between them.
  const Tensor half = bilinear_pictures(image, 4);
  for (int64_t i = 0; i < 4; ++i) {
    expect_at(half, i, 60 * static_cast<double>(i) + 15);
  }
  // A quarter: pixels 1.5 and 5.5. The others are not read.
  const Tensor quarter = bilinear_pictures(image, 2);
  expect_at(quarter, 0, 45);
  expect_at(quarter, 1, 165);
  // Doubled: beyond the outer centres, the outer pixels.
  const Tensor doubled = bilinear_pictures(image, 16);
  expect_at(doubled, 0, 0);
  expect_at(doubled, 1, 7.5);
  expect_at(doubled, 15, 210);
}

}  // namespace
}  // namespace ddpm
