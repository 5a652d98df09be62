#include "ddpm/comm/watch.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/comm/ranks.h"
#include "ddpm/comm/thread_group.h"

namespace ddpm {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr milliseconds kLostAfter{900};

// What each rank reports.
class Reports {
 public:
  explicit Reports(int ranks) : lines_(static_cast<size_t>(ranks)) {}
  std::function<void(const std::string&)> of(int rank) {
    return [this, rank](const std::string& line) {
      const std::scoped_lock lock(mutex_);
      lines_[static_cast<size_t>(rank)].push_back(line);
    };
  }
  const std::vector<std::string>& at(int rank) const { return lines_[static_cast<size_t>(rank)]; }
  std::vector<std::string> all() const {
    std::vector<std::string> all;
    for (const auto& lines : lines_) all.insert(all.end(), lines.begin(), lines.end());
    return all;
  }

 private:
  std::mutex mutex_;
  std::vector<std::vector<std::string>> lines_;
};

// An operation whose messages get lost from some moment on.
class CutOperation : public CommOperation {
 public:
  CutOperation(PendingComm operation, const std::atomic<bool>& cut)
      : operation_(std::move(operation)), cut_(cut) {}
  bool test() override { return !cut_ && operation_->test(); }
  void wait() override { operation_->wait(); }

 private:
  PendingComm operation_;
  const std::atomic<bool>& cut_;
};

// Messages of a rank that is cut off from some moment on.
class CutCommunicator : public Communicator {
 public:
  CutCommunicator(Communicator& whole, const std::atomic<bool>& cut) : whole_(whole), cut_(cut) {}
  int rank() const override { return whole_.rank(); }
  int size() const override { return whole_.size(); }
  PendingComm broadcast(std::span<std::byte>, int) override { return nullptr; }
  PendingComm all_gather(std::span<const std::byte>, std::span<std::byte>,
                         std::span<const size_t>) override {
    return nullptr;
  }
  PendingComm all_to_all(std::span<const std::byte>, std::span<const size_t>, std::span<std::byte>,
                         std::span<const size_t>) override {
    return nullptr;
  }
  PendingComm send(std::span<const std::byte> bytes, int to, int tag) override {
    return std::make_unique<CutOperation>(whole_.send(bytes, to, tag), cut_);
  }
  PendingComm receive(std::span<std::byte> bytes, int from, int tag) override {
    return std::make_unique<CutOperation>(whole_.receive(bytes, from, tag), cut_);
  }
  std::unique_ptr<Communicator> duplicate() override { return nullptr; }
  [[noreturn]] void abort(int) override { throw Error("[test] cut off"); }
  const std::vector<std::string>& hosts() const override { return whole_.hosts(); }

 private:
  Communicator& whole_;
  const std::atomic<bool>& cut_;
};

// Waits until the group is aborted.
void wait_for_the_end(Communicator& communicator) {
  try {
    communicator.receive({}, communicator.rank(), 7)->wait();
  } catch (const Error&) {
    return;
  }
}

RanksOptions options_of(Reports& reports, int rank) {
  return {.report = reports.of(rank), .lost_after = kLostAfter, .version = "1.2.3"};
}

// Runs body(ranks) in each rank of a group. A rank that throws fails with status 3.
void run_ranks(int size, Reports& reports, const std::function<void(Ranks&)>& body) {
  auto group = thread_group(size);
  std::vector<std::jthread> threads;
  for (auto& world : group) {
    threads.emplace_back([&] {
      const int rank = world->rank();
      try {
        Ranks ranks(options_of(reports, rank), std::move(world), {});
        try {
          body(ranks);
          ranks.close();
        } catch (const Error& error) {
          ranks.fail(error.what(), 3);
        }
      } catch (const Error&) {
        // The end of a rank of this group.
      }
    });
  }
}

TEST(WatchMessage, CutsLongTexts) {
  const WatchMessage message(WatchMessage::kFailed, 2, 1, std::string(5000, 'x'));
  EXPECT_EQ(message.text(), std::string(1008, 'x'));
}

TEST(WatchNeighbours, AreMutualAndReachAllRanksInFewSteps) {
  for (int size = 1; size < 70; ++size) {
    for (int rank = 0; rank < size; ++rank) {
      const std::vector<int> neighbours = watch_neighbours(rank, size);
      EXPECT_LE(static_cast<double>(neighbours.size()), 2 * std::ceil(std::log2(size)));
      for (const int other : neighbours)
        EXPECT_THAT(watch_neighbours(other, size), testing::Contains(rank));
    }
    std::set<int> reached = {0};
    for (int steps = 0; steps < std::ceil(std::log2(size)); ++steps) {
      for (const int rank : std::vector<int>(reached.begin(), reached.end())) {
        for (const int other : watch_neighbours(rank, size)) reached.insert(other);
      }
    }
    EXPECT_EQ(reached.size(), static_cast<size_t>(size));
  }
}

TEST(Watch, NamesARankThatIsCutOff) {
  Reports reports(5);
  std::atomic<bool> cut = false;
  std::atomic<int> told_lost = -1;
  auto group = thread_group(5);
  std::vector<std::jthread> threads;
  for (auto& world : group) {
    threads.emplace_back([&] {
      const std::atomic<bool> never = false;
      CutCommunicator mine(*world, world->rank() == 3 ? cut : never);
      Communicator& used = world->rank() == 3 ? static_cast<Communicator&>(mine) : *world;
      const auto lost = [&](const std::vector<int>& ranks) { told_lost = ranks.front(); };
      Watch watch(used, {.lost_after = kLostAfter,
                         .report = reports.of(world->rank()),
                         .lost = world->rank() == 3 ? nullptr : std::function(lost)});
      watch.set_hosts({"a", "a", "b", "b", "c"});
      watch.set_loss_note("the last checkpoint is good");
      if (world->rank() == 3) {
        std::this_thread::sleep_for(kLostAfter / 2);
        cut = true;
      }
      wait_for_the_end(*world);
    });
  }
  threads.clear();
  EXPECT_EQ(told_lost, 3);
  for (const int rank : {0, 1, 2, 4}) {
    EXPECT_THAT(reports.at(rank),
                ElementsAre(AllOf(HasSubstr("rank 3 (host b) has not answered for 0.9 s"),
                                  HasSubstr("; the last checkpoint is good"))));
  }
}

// A rank that is in the group, but never opens it.
TEST(Watch, NamesARankThatNeverAnswers) {
  Reports reports(3);
  auto group = thread_group(3);
  std::vector<std::jthread> threads;
  for (auto& world : group) {
    threads.emplace_back([&] {
      if (world->rank() == 1) return wait_for_the_end(*world);
      const int rank = world->rank();
      EXPECT_THROW(Ranks(options_of(reports, rank), std::move(world), {}), Error);
    });
  }
  threads.clear();
  EXPECT_THAT(reports.all(), AllOf(testing::SizeIs(2),
                                   Each(HasSubstr("rank 1 has never answered in the first 1.35 s; "
                                                  "does a firewall"))));
}

TEST(Watch, SlowRankIsNotLost) {
  Reports reports(3);
  int ended = 0;
  std::mutex mutex;
  run_ranks(3, reports, [&](Ranks& ranks) {
    // Rank 2 closes at once, and the others work for long.
    if (ranks.rank() != 2) std::this_thread::sleep_for(2 * kLostAfter);
    const std::scoped_lock lock(mutex);
    ++ended;
  });
  EXPECT_EQ(ended, 3);
  EXPECT_THAT(reports.all(), IsEmpty());
}

TEST(Watch, FailureIsReportedByAllRanks) {
  Reports reports(4);
  run_ranks(4, reports, [](Ranks& ranks) {
    if (ranks.rank() == 2) fail("disk", "/data is full");
    ranks.communicator().receive({}, 2, 0)->wait();
  });
  EXPECT_THAT(reports.at(2), ElementsAre("[disk] /data is full"));
  for (const int rank : {0, 1, 3}) {
    EXPECT_THAT(reports.at(rank), ElementsAre("rank 2 (host thread) failed: [disk] /data is full"));
  }
}

// As agree() gives it: rank 0 reports an error that it has heard of.
TEST(Watch, FailureThatNamesAnotherRankStaysAsItIs) {
  Reports reports(3);
  const std::string text = "rank 2 (host thread): [disk] /data is full";
  run_ranks(3, reports, [&](Ranks& ranks) {
    if (ranks.rank() == 0) throw Error(text);
    ranks.communicator().receive({}, 0, 0)->wait();
  });
  for (const int rank : {0, 1, 2}) EXPECT_THAT(reports.at(rank), ElementsAre(text));
}

TEST(Watch, FailureOfAllRanksIsReportedOnce) {
  Reports reports(4);
  run_ranks(4, reports, [](Ranks&) { fail("data", "no pictures in /data"); });
  EXPECT_THAT(reports.all(), ElementsAre("[data] no pictures in /data"));
}

TEST(Watch, RankThatEndsWithoutClosingIsNamed) {
  Reports reports(2);
  auto group = thread_group(2);
  std::vector<std::jthread> threads;
  for (auto& world : group) {
    threads.emplace_back([&] {
      const int rank = world->rank();
      Ranks ranks(options_of(reports, rank), std::move(world), {});
      if (rank == 0) {
        EXPECT_THROW(ranks.close(), Error);
      }
    });
  }
  threads.clear();
  EXPECT_THAT(reports.at(0),
              ElementsAre("rank 1 (host thread) failed: this rank ended before its work was done"));
}

TEST(Ranks, OtherVersionIsRefused) {
  Reports reports(3);
  auto group = thread_group(3);
  std::vector<std::jthread> threads;
  for (auto& world : group) {
    threads.emplace_back([&] {
      const int rank = world->rank();
      RanksOptions options = options_of(reports, rank);
      if (rank == 1) options.version = "1.2.4";
      EXPECT_THROW(Ranks(options, std::move(world), {}), Error);
    });
  }
  threads.clear();
  EXPECT_THAT(reports.all(),
              ElementsAre(AllOf(HasSubstr("1.2.3: rank 0 (host thread), rank 2 (host thread);"),
                                HasSubstr("1.2.4: rank 1 (host thread);"))));
}

// A rank whose collective calls fail.
class NoCollectives : public CutCommunicator {
 public:
  using CutCommunicator::CutCommunicator;
  std::unique_ptr<Communicator> duplicate() override { throw Error("[test] no memory"); }
};

TEST(Ranks, AnErrorWhileTheyOpenIsReported) {
  Reports reports(2);
  auto group = thread_group(2);
  const std::atomic<bool> cut = false;
  std::vector<std::jthread> threads;
  for (auto& world : group) {
    threads.emplace_back([&] {
      const int rank = world->rank();
      auto failing = std::make_unique<NoCollectives>(*world, cut);
      EXPECT_THROW(Ranks(options_of(reports, rank), std::move(failing), {}), Error);
    });
  }
  threads.clear();
  EXPECT_THAT(reports.all(), ElementsAre("[test] no memory"));
}

TEST(Ranks, AloneWithoutALauncher) {
  Ranks ranks({.report = [](const std::string&) {},
               .environment = [](const char*) -> const char* { return nullptr; },
               .version = "1.2.3"});
  EXPECT_TRUE(ranks.alone());
  EXPECT_FALSE(ranks.launch().launched());
  ranks.close();
}

}  // namespace
}  // namespace ddpm
