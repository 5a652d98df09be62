#include "ddpm/kernels/cpu/conv/few_channels.h"

#include <gtest/gtest.h>

#include "ddpm/kernels/cpu/simd/simd_test_support.h"
#include "ddpm/kernels/ref/ref_backend.h"
#include "tests/support/compare.h"

namespace ddpm::cpu {
namespace {

using namespace ddpm::testing;

ConvShape layer(int64_t batch, int64_t side, int64_t channels, int64_t outputs) {
  return {.batch = batch, .height = side, .width = side, .channels = channels, .outputs = outputs};
}

struct Results {
  Tensor y, dx, dw, dbias;
};

Results run(const ConvShape& s, bool fast) {
  const Tensor x = normal_tensor({s.batch, s.height, s.width, s.channels}, 1);
  const Tensor w = normal_tensor({1, 1, s.channels, s.outputs}, 2);
  const Tensor bias = normal_tensor({s.outputs}, 3);
  const Tensor dy = normal_tensor({s.batch, s.height, s.width, s.outputs}, 4);
  Results r = {unwritten(dy.shape()), unwritten(x.shape()), unwritten(w.shape()),
               unwritten(bias.shape())};
  if (fast) {
    conv_few(s, x.f32(), w.f32(), bias.f32(), r.y.f32());
    conv_few_backward_data(s, dy.f32(), w.f32(), r.dx.f32());
    conv_few_backward_weights(s, x.f32(), dy.f32(), r.dw.f32(), r.dbias.f32());
  } else {
    RefBackend ref;
    ref.run(op::Conv2d{.x = x, .w = w, .bias = &bias, .y = r.y});
    ref.run(op::Conv2dBackwardData{.dy = dy, .w = w, .dx = r.dx});
    ref.run(op::Conv2dBackwardWeights{.x = x, .dy = dy, .dw = r.dw, .dbias = &r.dbias});
  }
  return r;
}

class FewChannelsTest : public EverySimd {};

TEST_P(FewChannelsTest, AgreesForEveryCountOfTheFewAndAroundAVectorOfTheMany) {
  for (int64_t few = 1; few <= kFewChannels; ++few) {
    for (int64_t many = 32; many <= 66; ++many) {
      for (const ConvShape& s : {layer(2, 5, few, many), layer(2, 5, many, few)}) {
        ASSERT_TRUE(few_channels_apply(s));
        const Results got = run(s, true), expected = run(s, false);
        SCOPED_TRACE(::testing::Message() << s.channels << " -> " << s.outputs);
        EXPECT_LE(relative_error(got.y, expected.y), test::Tolerance::kOperation) << "y";
        EXPECT_LE(relative_error(got.dx, expected.dx), test::Tolerance::kOperation) << "dx";
        EXPECT_LE(relative_error(got.dw, expected.dw), test::Tolerance::kOperation) << "dw";
        EXPECT_LE(relative_error(got.dbias, expected.dbias), test::Tolerance::kOperation) << "db";
      }
    }
  }
}

TEST_P(FewChannelsTest, BitsDependOnNeitherThreadsNorBatch) {
  for (const ConvShape& s : {layer(3, 40, 3, 64), layer(3, 40, 64, 3)}) {  // several blocks
    set_num_threads(1);
    const Results once = run(s, true);
    set_num_threads(3);
    const Results again = run(s, true);
    set_num_threads(1);
    EXPECT_TRUE(same_bits(again.y, once.y));
    EXPECT_TRUE(same_bits(again.dx, once.dx));
    EXPECT_TRUE(same_bits(again.dw, once.dw));
    EXPECT_TRUE(same_bits(again.dbias, once.dbias));
    const Tensor x = normal_tensor({3, 40, 40, s.channels}, 1).rows(1, 2);
    const Tensor w = normal_tensor({1, 1, s.channels, s.outputs}, 2);
    const Tensor bias = normal_tensor({s.outputs}, 3);
    Tensor alone({1, 40, 40, s.outputs});
    conv_few(layer(1, 40, s.channels, s.outputs), x.f32(), w.f32(), bias.f32(), alone.f32());
    EXPECT_TRUE(same_bits(alone, once.y.rows(1, 2).clone()));
  }
}

TEST_P(FewChannelsTest, DeclinesWhatItIsNotFor) {
  EXPECT_FALSE(few_channels_apply(layer(1, 8, 5, 64)));
  EXPECT_FALSE(few_channels_apply(layer(1, 8, 3, 16)));
  EXPECT_FALSE(few_channels_apply(layer(1, 8, 3, 3)));
  ConvShape strided = layer(1, 8, 3, 64), large = strided;
  strided.stride = 2;
  large.kernel_height = large.kernel_width = 3;
  EXPECT_FALSE(few_channels_apply(strided));
  EXPECT_FALSE(few_channels_apply(large));
}

DDPM_FOR_EVERY_SIMD(FewChannelsTest);

}  // namespace
}  // namespace ddpm::cpu
