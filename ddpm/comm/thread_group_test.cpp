#include "ddpm/comm/thread_group.h"

#include <gmock/gmock.h>

#include <array>

#include "ddpm/base/error.h"
#include "ddpm/comm/communicator_test_support.h"

namespace ddpm {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(SingleCommunicator, DoesEveryOperation) {
  const auto single = communicator_single();
  for (const size_t bytes : {0, 4, 1001}) test::check_operations(*single, bytes);
  test::check_overlap(*single);
  test::check_two_threads(*single);
}

TEST(SingleCommunicator, RefusesWhatDoesNotFit) {
  const auto single = communicator_single();
  std::array<std::byte, 4> bytes{};
  const std::array<size_t, 1> sizes = {3};
  EXPECT_THAT([&] { single->all_gather(bytes, bytes, sizes); },
              ThrowsMessage<Error>(HasSubstr("3 bytes together, but the buffer has 4")));
  EXPECT_THAT([&] { single->broadcast(bytes, 1); },
              ThrowsMessage<Error>(HasSubstr("there is no rank 1; ranks are 0 to 0")));
  EXPECT_THAT([&] { single->send(bytes, 0, 0); }, ThrowsMessage<Error>(HasSubstr("alone")));
}

TEST(ThreadGroup, DoesEveryOperation) {
  for (const int ranks : {1, 2, 3, 4, 7}) {
    run_thread_group(ranks, [](Communicator& communicator) {
      for (const size_t bytes : {0, 4, 1001}) test::check_operations(communicator, bytes);
      test::check_overlap(communicator);
      test::check_two_threads(communicator);
    });
  }
}

TEST(ThreadGroup, SendEndsWithItsReceive) {
  run_thread_group(2, [](Communicator& communicator) {
    std::byte byte{};
    if (communicator.rank() == 0) {
      const PendingComm sent = communicator.send({&byte, 1}, 1, 5);
      EXPECT_FALSE(sent->test());
      // Rank 1 receives only after this.
      communicator.send({}, 1, 6)->wait();
      sent->wait();
      EXPECT_TRUE(sent->test());
    } else {
      communicator.receive({}, 0, 6)->wait();
      communicator.receive({&byte, 1}, 0, 5)->wait();
    }
  });
}

TEST(ThreadGroup, NamesCallsThatDiffer) {
  EXPECT_THAT(
      [] {
        run_thread_group(2, [](Communicator& communicator) {
          std::byte byte{};
          if (communicator.rank() == 0)
            communicator.broadcast({&byte, 1}, 0)->wait();
          else
            communicator.duplicate();
        });
      },
      ThrowsMessage<Error>(HasSubstr("rank 0 calls broadcast, but rank 1 calls duplicate")));
}

TEST(ThreadGroup, NamesSizesThatDiffer) {
  EXPECT_THAT(
      [] {
        run_thread_group(2, [](Communicator& communicator) {
          std::array<std::byte, 8> bytes{};
          const size_t size = communicator.rank() == 0 ? 8 : 5;
          communicator.broadcast(std::span(bytes).first(size), 0)->wait();
        });
      },
      ThrowsMessage<Error>(HasSubstr("rank 0 sends 8 bytes, but rank 1 has room for 5")));
}

// Rank 0 waits for ever unless it hears of the failure.
TEST(ThreadGroup, FailureOfOneRankEndsTheOthers) {
  EXPECT_THAT(
      [] {
        run_thread_group(3, [](Communicator& communicator) {
          if (communicator.rank() == 2) fail("test", "rank 2 is out of luck");
          std::byte byte{};
          communicator.receive({&byte, 1}, 2, 0)->wait();
        });
      },
      ThrowsMessage<Error>(HasSubstr("rank 2 is out of luck")));
}

TEST(ThreadGroup, ExceptionWithAnOperationGoingOnEndsTheOthers) {
  EXPECT_THAT(
      [] {
        run_thread_group(2, [](Communicator& communicator) {
          std::byte byte{};
          const PendingComm going_on = communicator.receive({&byte, 1}, 1 - communicator.rank(), 0);
          if (communicator.rank() == 1) fail("test", "rank 1 is out of luck");
          going_on->wait();
        });
      },
      ThrowsMessage<Error>(testing::AnyOf(HasSubstr("out of luck"), HasSubstr("a rank failed"))));
}

}  // namespace
}  // namespace ddpm
