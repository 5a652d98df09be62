// The parts of ddpm launch that need no processes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/cli/command_words.h"
#include "apps/cli/launch_hosts.h"
#include "apps/cli/launch_ranks.h"
#include "apps/cli/marks.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = Mark::Kind;

TEST(Marks, AreTakenOutOfTheOutputWhereverItIsSplit) {
  const std::string all = "one\ntwo" + to_line("abc", {Kind::kStarted, 3, "host 7"}) + "three\n" +
                          to_line("abc", {Kind::kEnds, 12, ""}) +
                          to_line("abd", {Kind::kEnds, 1, ""});
  for (size_t split = 0; split <= all.size(); ++split) {
    MarkReader reader("abc");
    std::vector<Mark> marks;
    std::string others = reader.take(all.substr(0, split), marks);
    others += reader.take(all.substr(split), marks);
    others += reader.rest();
    EXPECT_EQ(others, "one\ntwothree\n" + to_line("abd", {Kind::kEnds, 1, ""})) << split;
    ASSERT_EQ(marks.size(), 2u) << split;
    EXPECT_EQ(marks[0].kind, Kind::kStarted);
    EXPECT_EQ(marks[0].rank, 3);
    EXPECT_EQ(marks[0].text, "host 7");
    EXPECT_EQ(marks[1].kind, Kind::kEnds);
    EXPECT_EQ(marks[1].rank, 12);
    EXPECT_EQ(marks[1].text, "");
  }
}

TEST(Marks, OthersOfTheSameBeginningStayInTheOutput) {
  MarkReader reader("abc");
  std::vector<Mark> marks;
  const std::string other = std::string(1, '\x1e') + "abc other 1 x\n";
  EXPECT_EQ(reader.take(other, marks), other);
  EXPECT_THAT(marks, IsEmpty());
}

TEST(LaunchHosts, AreReadFromAFlag) {
  EXPECT_EQ(parse_hosts("a:4,b,10.0.0.7:2"), (Hosts{{"a", 4}, {"b", 1}, {"10.0.0.7", 2}}));
  for (const char* bad : {"", "a:0", "a:x", "a,,b", "a:4:5", "-a", "a b", "a:99999999"}) {
    EXPECT_THROW(parse_hosts(bad), UsageError) << bad;
  }
}

TEST(LaunchHosts, AreReadFromAFile) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "hosts";
  write_file_atomic(path, "# two\na slots=4 max_slots=8\n\n  b  # one\n");
  EXPECT_EQ(read_hostfile(path), (Hosts{{"a", 4}, {"b", 1}}));
  write_file_atomic(path, "# none\n");
  EXPECT_THAT(test::message_of([&] { read_hostfile(path); }), HasSubstr("names no host"));
}

TEST(LaunchHosts, TakeRanksInTheirOrder) {
  const Hosts hosts = {{"a", 2}, {"b", 3}};
  EXPECT_EQ(to_text(place_ranks(hosts, 1)), "a:1");
  EXPECT_EQ(to_text(place_ranks(hosts, 4)), "a:2,b:2");
  EXPECT_EQ(to_text(place_ranks(hosts, 5)), "a:2,b:3");
  EXPECT_EQ(to_text(place_ranks(hosts, 8)), "a:4,b:4");
  EXPECT_THAT(host_of_each(hosts), ElementsAre("a", "a", "b", "b", "b"));
  EXPECT_EQ(group_by_host({"a", "b", "a"}), (Hosts{{"a", 2}, {"b", 1}}));
}

TEST(CommandWords, BeginAtTheFirstWordThatIsNoFlag) {
  const auto split = [](const std::vector<std::string>& words) {
    return split_command_words(words, [](const std::string& flag) { return flag == "-n"; });
  };
  EXPECT_THAT(split({"-n", "2", "--on", "train", "-n", "3"}).own, ElementsAre("-n", "2", "--on"));
  EXPECT_THAT(split({"-n", "2", "train", "--", "-n"}).rest, ElementsAre("train", "--", "-n"));
  EXPECT_THAT(split({"--on", "--", "train", "-n"}).rest, ElementsAre("train", "-n"));
  EXPECT_THAT(split({"--on", "-n"}).own, ElementsAre("--on", "-n"));
  EXPECT_THAT(split({"--on", "-n"}).rest, IsEmpty());
}

class LaunchedRanksTest : public ::testing::Test {
 protected:
  LaunchedRanksTest() {
    for (int rank = 0; rank < 3; ++rank) ranks_.take({Kind::kStarted, rank, "other name"});
  }
  LaunchedRanks ranks_{{"a", "a", "b"}};
};

TEST_F(LaunchedRanksTest, ThatEndWithoutAWordAreLost) {
  ranks_.take({Kind::kEnds, 0, ""});
  ranks_.take({Kind::kEnds, 2, ""});
  EXPECT_THAT(ranks_.lost(), ElementsAre(1));
  EXPECT_FALSE(ranks_.some_failed());
  EXPECT_EQ(ranks_.names(ranks_.lost()), "rank 1 (host a)");
  EXPECT_THAT(ranks_.hosts_without(ranks_.lost()), ElementsAre("a", "b"));
}

TEST_F(LaunchedRanksTest, ThatDoNotAnswerAreLostAsTheFirstOneSays) {
  ranks_.take({Kind::kLost, 0, "2"});
  ranks_.take({Kind::kLost, 2, "0 1"});
  for (int rank = 0; rank < 3; ++rank) ranks_.take({Kind::kEnds, rank, "failed"});
  EXPECT_TRUE(ranks_.some_lost());
  EXPECT_THAT(ranks_.lost(), ElementsAre(2));
}

TEST_F(LaunchedRanksTest, NeverConnectedIfTheyDoNotAnswerBeforeAllHaveJoined) {
  EXPECT_FALSE(ranks_.never_connected());
  for (int rank = 0; rank < 2; ++rank) ranks_.take({Kind::kJoined, rank, ""});
  ranks_.take({Kind::kLost, 0, "2"});
  EXPECT_TRUE(ranks_.never_connected());
  ranks_.take({Kind::kJoined, 2, ""});
  EXPECT_FALSE(ranks_.never_connected());
}

TEST_F(LaunchedRanksTest, ThatFailAreNotLost) {
  for (int rank = 0; rank < 3; ++rank) ranks_.take({Kind::kEnds, rank, "failed"});
  EXPECT_THAT(ranks_.lost(), IsEmpty());
  EXPECT_TRUE(ranks_.some_failed());
}

TEST(LaunchedRanksOfAnAllocation, HaveTheHostsThatTheyTell) {
  LaunchedRanks ranks({"", ""});
  ranks.take({Kind::kStarted, 1, "b"});
  ranks.take({Kind::kStarted, 7, "c"});
  EXPECT_THAT(ranks.not_started(), ElementsAre(0));
  EXPECT_EQ(ranks.names({0, 1}), "rank 0 and rank 1 (host b)");
}

TEST(Restarts, CountThoseWithoutANewCheckpoint) {
  Restarts restarts{.min_ranks = 1, .most = 2};
  EXPECT_EQ(restarts.refuse(3, ""), "");
  EXPECT_EQ(restarts.refuse(3, ""), "");
  EXPECT_THAT(restarts.refuse(3, ""), HasSubstr("--restarts 2"));
  EXPECT_EQ(restarts.refuse(3, "step 5"), "");
  EXPECT_EQ(restarts.refuse(3, ""), "");
  EXPECT_THAT(restarts.refuse(3, "step 5"), HasSubstr("--restarts 2"));
  EXPECT_EQ(restarts.refuse(3, "step 6"), "");
}

TEST(Restarts, NeedEnoughRanks) {
  EXPECT_EQ((Restarts{.min_ranks = 2}.refuse(2, "")), "");
  EXPECT_THAT((Restarts{.min_ranks = 2}.refuse(1, "")), HasSubstr("1 rank is left"));
  EXPECT_THAT((Restarts{.min_ranks = 1}.refuse(0, "")), HasSubstr("0 ranks are left"));
  EXPECT_THAT((Restarts{.most = 0}.refuse(1, "")), HasSubstr("--restarts is 0"));
}

}  // namespace
}  // namespace ddpm::cli
