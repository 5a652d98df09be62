#include "ddpm/data/shared_decoding.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "ddpm/base/error.h"
#include "ddpm/comm/thread_group.h"
#include "ddpm/data/source_decoding.h"

namespace ddpm {
namespace {

// Pictures of one pixel. `before` is called before each is decoded.
PictureList list_of(int64_t count, std::function<void(int64_t i)> before) {
  PictureList list;
  list.name = "test";
  list.count = count;
  list.path_of = [](int64_t i) { return std::to_string(i); };
  list.load = [before = std::move(before)](int64_t i, const Fitting&) {
    before(i);
    Tensor image({1, 1, 1}, DType::kUInt8);
    image.u8()[0] = static_cast<uint8_t>(i);
    return Picture{.image = image, .file = {}};
  };
  return list;
}

CheckedPictures check(const PictureList& list, const LoadProgress& progress, Communicator& ranks) {
  return check_all(list, {.fitting = Fitting(1, 1), .channels = 1, .background = {}}, {}, true,
                   progress, &ranks);
}

TEST(SharedDecoding, ManyRanksHoldNoMoreThanFew) {
  for (const int ranks : {1, 2, 64, 256}) {
    EXPECT_LE(share_round_bytes(ranks) * static_cast<size_t>(ranks), size_t{1} << 24) << ranks;
    EXPECT_GT(share_round_bytes(ranks), 0U);
  }
  EXPECT_GE(share_round_bytes(100000), size_t{1} << 16);
}

TEST(SharedDecoding, EveryRankGetsAllPictures) {
  const PictureList list = list_of(7, [](int64_t) {});
  run_thread_group(3, [&](Communicator& communicator) {
    const CheckedPictures checked = check(list, {}, communicator);
    ASSERT_EQ(checked.images.size(0), 7);
    for (int i = 0; i < 7; ++i) EXPECT_EQ(checked.images.u8()[i], i);
  });
}

// Rank 0 has decoded its part, and that of rank 1 would take minutes.
TEST(SharedDecoding, AnInterruptionEndsTheDecodingOfOtherRanks) {
  constexpr int64_t kCount = 20000;
  std::atomic<int64_t> of_rank_0 = 0, of_rank_1 = 0;
  const PictureList list = list_of(kCount, [&](int64_t i) {
    ++(i % 2 == 0 ? of_rank_0 : of_rank_1);
    if (i % 2 == 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  run_thread_group(2, [&](Communicator& communicator) {
    const LoadProgress interrupt = [&](int64_t, int64_t) {
      if (of_rank_0 == kCount / 2 && of_rank_1 > 0) throw Interrupted("[test] interrupted");
    };
    EXPECT_THROW(check(list, communicator.rank() == 0 ? interrupt : LoadProgress(), communicator),
                 Interrupted);
  });
  EXPECT_LT(of_rank_1, kCount / 4);
}

}  // namespace
}  // namespace ddpm
