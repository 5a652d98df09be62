#include "ddpm/comm/messages.h"

#include <gmock/gmock.h>

#include <functional>
#include <mutex>

#include "ddpm/base/error.h"
#include "ddpm/comm/thread_group.h"

namespace ddpm {
namespace {

using ::testing::Each;

// What agree() throws on each of three ranks, as "KIND: TEXT".
std::vector<std::string> outcomes(const std::function<void(int rank)>& work) {
  std::vector<std::string> all(3);
  run_thread_group(3, [&](Communicator& communicator) {
    std::string& outcome = all[static_cast<size_t>(communicator.rank())];
    try {
      agree(&communicator, [&] { work(communicator.rank()); });
      outcome = "done";
    } catch (const UsageError& error) {
      outcome = std::string("usage: ") + error.what();
    } catch (const SystemError& error) {
      outcome = "system " + std::to_string(error.code()) + ": " + error.what();
    } catch (const Interrupted& error) {
      outcome = std::string("interrupted: ") + error.what();
    } catch (const Error& error) {
      outcome = std::string("error: ") + error.what();
    }
  });
  return all;
}

TEST(Agree, NothingIsThrownIfNoRankFails) {
  EXPECT_THAT(outcomes([](int) {}), Each("done"));
}

TEST(Agree, ThrowsTheKindOfOneRankOnAll) {
  const auto on_rank_1 = [](const std::function<void()>& failure) {
    return [failure](int rank) {
      if (rank == 1) failure();
    };
  };
  EXPECT_THAT(outcomes(on_rank_1([] { fail("disk", "is full"); })),
              Each("error: rank 1 (host thread): [disk] is full"));
  EXPECT_THAT(outcomes(on_rank_1([] { fail_usage("size", "is 0"); })),
              Each("usage: rank 1 (host thread): [size] is 0"));
  EXPECT_THAT(outcomes(on_rank_1([] { fail_system("disk", "no answer", 5); })),
              Each("system 5: rank 1 (host thread): [disk] no answer"));
  EXPECT_THAT(outcomes(on_rank_1([] { throw Interrupted("[train] interrupted"); })),
              Each("interrupted: [train] interrupted"));
}

TEST(Agree, NamesNoRankIfAllFailInTheSameWay) {
  EXPECT_THAT(outcomes([](int) { fail_usage("data", "nothere does not exist"); }),
              Each("usage: [data] nothere does not exist"));
}

TEST(Agree, NamesTheFirstOfRanksThatFailInOtherWays) {
  EXPECT_THAT(outcomes([](int rank) {
                if (rank == 1) fail("a", "1");
                if (rank == 2) fail_usage("b", "2");
              }),
              Each("error: rank 1 (host thread): [a] 1"));
}

}  // namespace
}  // namespace ddpm
