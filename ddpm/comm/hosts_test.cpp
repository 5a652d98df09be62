// Two network namespaces as two hosts with a link between them.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "ddpm/comm/job_test_support.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using test::Job;
using test::JobOutcome;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

bool run(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

class Hosts : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string link = fmt::format(
        "ip link add {0} netns {1} type veth peer name {0} netns "
        "{2}",
        kLink, a_, b_);
    if (!run("ip netns add " + a_) || !run("ip netns add " + b_) || !run(link))
      GTEST_SKIP() << "network namespaces need root and Debian's package iproute2";
    ASSERT_TRUE(set_up(a_, "10.77.0.1") && set_up(b_, "10.77.0.2"));
    fs::create_directories(folder_);
    // mpirun calls it as it would call ssh, with a host and a command.
    std::ofstream(agent()) << "#!/bin/sh\nshift\nexec ip netns exec " << b_
                           << " unshare --uts sh -c \"hostname hostb; $*\"\n";
    fs::permissions(agent(), fs::perms::owner_all);
  }

  void TearDown() override {
    run("ip netns del " + a_);
    run("ip netns del " + b_);
    fs::remove_all(folder_);
  }

  // Rank 0 is on hosta, rank 1 on hostb.
  std::unique_ptr<Job> start(const std::string& words) const {
    const std::string mpirun = fmt::format(
        "hostname hosta; exec {} -n 2 --host 10.77.0.1:1,10.77.0.2:1 --mca plm_rsh_agent {} {} {}",
        DDPM_MPIRUN, agent(), DDPM_RANK_PROGRAM, words);
    return std::make_unique<Job>(
        std::vector<std::string>{"ip", "netns", "exec", a_, "unshare", "--uts", "sh", "-c", mpirun},
        std::map<std::string, std::string>{{"OMPI_MCA_btl_tcp_if_include", kLink}});
  }

  bool cut() const { return run(fmt::format("ip -n {} link set {} down", a_, kLink)); }

 private:
  static constexpr const char* kLink = "link0";

  static bool set_up(const std::string& host, const std::string& address) {
    return run(fmt::format("ip -n {} addr add {}/24 dev {}", host, address, kLink)) &&
           run(fmt::format("ip -n {} link set lo up", host)) &&
           run(fmt::format("ip -n {} link set {} up", host, kLink));
  }
  std::string agent() const { return folder_ / "agent"; }

  const std::string a_ = fmt::format("ddpm-a-{}", getpid()),
                    b_ = fmt::format("ddpm-b-{}", getpid());
  const fs::path folder_ = fs::temp_directory_path() / fmt::format("ddpm-hosts-{}", getpid());
};

TEST_F(Hosts, DoEveryOperation) {
  const JobOutcome job = start("operations")->wait();
  EXPECT_EQ(job.status, 0) << job.output;
  EXPECT_THAT(job.output, HasSubstr("rank 1 of 2 ends"));
  EXPECT_THAT(job.left_over, IsEmpty());
}

TEST_F(Hosts, CutLinkEndsTheJob) {
  const std::unique_ptr<Job> job = start("work -1 3");
  ASSERT_TRUE(job->says("works"));
  ASSERT_TRUE(cut());
  const JobOutcome outcome = job->wait();
  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(outcome.output, HasSubstr("ddpm: rank 1 (host hostb) has not answered for 3 s"));
  EXPECT_LT(outcome.time.count(), 30);
  EXPECT_THAT(outcome.left_over, IsEmpty()) << outcome.output;
}

}  // namespace
}  // namespace ddpm
