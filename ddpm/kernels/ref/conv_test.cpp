#include <gtest/gtest.h>

#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/gradient_test_support.h"
#include "ddpm/kernels/ref/ref_backend.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

using testing::inner;
using Values = std::vector<float>;

TEST(RefConv, SumsTheNeighbourhoodWithZerosOutside) {
  RefBackend ref;
  const Tensor x = Tensor::of({1, 2, 3, 1}, {1, 2, 3, 4, 5, 6});
  const Tensor w = Tensor::full({3, 3, 1, 1}, 1);
  const Tensor bias = Tensor::of({1}, {0.5});
  Tensor y({1, 2, 3, 1});
  ref.run(op::Conv2d{.args = {.stride = 1, .padding = 1}, .x = x, .w = w, .bias = &bias, .y = y});
  EXPECT_EQ(y.values(), (Values{12.5, 21.5, 16.5, 12.5, 21.5, 16.5}));
}

TEST(RefConv, TakesTheKernelUnflippedAndChannelsInOrder) {
  RefBackend ref;
  // One pixel that only tap (0, 1) of the kernel meets, at stride 2 and without padding.
  Tensor x = Tensor::zeros({1, 3, 3, 2});
  x.f32()[1 * 2 + 0] = 1;
  x.f32()[1 * 2 + 1] = 10;
  Tensor w = Tensor::zeros({3, 3, 2, 2});
  const Values tap = {2, 3, 4, 5};  // [C, K]
  std::copy(tap.begin(), tap.end(), w.f32() + 1 * 4);
  Tensor y({1, 1, 1, 2});
  ref.run(op::Conv2d{.args = {.stride = 2, .padding = 0}, .x = x, .w = w, .y = y});
  EXPECT_EQ(y.values(), (Values{42, 53}));
}

// <dy, conv(x, w)> is linear in x and in w, so both gradients follow from one identity.
TEST(RefConv, GradientsAreTheAdjoints) {
  RefBackend ref;
  const ConvArgs args{.stride = 2, .padding = 2};
  const auto fill = [](Tensor tensor, int64_t step) {
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      tensor.f32()[i] = static_cast<float>(i * step % 23 - 11);
    }
    return tensor;
  };
  const Tensor x = fill(Tensor({2, 5, 6, 3}), 7), w = fill(Tensor({5, 3, 3, 2}), 5);
  const Tensor dy = fill(Tensor({2, 3, 4, 2}), 3);
  Tensor y({2, 3, 4, 2}), dx({2, 5, 6, 3}), dw({5, 3, 3, 2}), dbias({2});
  ref.run(op::Conv2d{.args = args, .x = x, .w = w, .y = y});
  ref.run(op::Conv2dBackwardData{.args = args, .dy = dy, .w = w, .dx = dx});
  ref.run(op::Conv2dBackwardWeights{.args = args, .x = x, .dy = dy, .dw = dw, .dbias = &dbias});
  EXPECT_EQ(inner(dx, x), inner(dy, y));
  EXPECT_EQ(inner(dw, w), inner(dy, y));
  EXPECT_EQ(inner(dbias, Tensor::full({2}, 1)), inner(dy, Tensor::full({2, 3, 4, 2}, 1)));
}

TEST(RefConv, DoesNotDependOnTheThreadCount) {
  RefBackend ref;
  Tensor x({2, 7, 5, 3}), w({3, 3, 3, 4}), once({2, 7, 5, 4}), again({2, 7, 5, 4});
  ref.run(op::Normal{.seeds = {1, 2}, .stream = 0, .x = x});
  ref.run(op::Normal{.seeds = {3, 4, 5}, .stream = 0, .x = w});
  const test::ThreadsScope scope(1);
  ref.run(op::Conv2d{.args = {.padding = 1}, .x = x, .w = w, .y = once});
  set_num_threads(3);
  ref.run(op::Conv2d{.args = {.padding = 1}, .x = x, .w = w, .y = again});
  EXPECT_EQ(once.values(), again.values());
}

}  // namespace
}  // namespace ddpm
