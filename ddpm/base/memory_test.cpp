#include "ddpm/base/memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/folder.h"

namespace ddpm {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// A simulated machine, made of files: 8 GiB free, no control group unless a test adds some.
class Memory : public testing::Test {
 protected:
  Memory() {
    write("/proc/meminfo",
          "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:    8388608 kB\n"
          "SwapFree:              0 kB\n");
    write("/proc/self/status", "Name:\tddpm\nVmSize:\t  102400 kB\nVmData:\t   51200 kB\n");
  }

  void write(const std::string& path, const std::string& text) {
    const std::string whole = root_.path() + path;
    std::filesystem::create_directories(std::filesystem::path(whole).parent_path());
    std::ofstream(whole) << text;
  }

  void use_v2(const std::string& group, const std::string& root = "/") {
    write("/proc/self/cgroup", "0::" + group + "\n");
    write("/proc/self/mountinfo",
          "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n31 22 0:26 " + root +
              " /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  }

  AvailableMemory look(int64_t address_space = -1, int64_t data = -1) const {
    return available_memory({.root = root_.path(), .address_space = address_space, .data = data});
  }

  test::TemporaryFolder root_;
};

TEST_F(Memory, FreeMemoryAndSwapCount) {
  EXPECT_EQ(look().bytes, 8192 * kMiB);
  EXPECT_EQ(look().limit, "the free memory of this machine");
  write("/proc/meminfo", "MemAvailable: 1024 kB\nSwapFree: 2048 kB\n");
  EXPECT_EQ(look().bytes, 3 * kMiB);
}

TEST_F(Memory, UlimitsCountWhatIsTakenAlready) {
  EXPECT_EQ(look(2000 * kMiB).bytes, 1900 * kMiB);
  EXPECT_EQ(look(2000 * kMiB).limit, "ulimit -v");
  EXPECT_EQ(look(-1, 2000 * kMiB).bytes, 1950 * kMiB);
  EXPECT_EQ(look(-1, 2000 * kMiB).limit, "ulimit -d");
  EXPECT_EQ(look(50 * kMiB).bytes, 0);
}

TEST_F(Memory, CachedFilesOfAGroupAreNotHeld) {
  use_v2("/user/job");
  const std::string job = "/sys/fs/cgroup/user/job/";
  write(job + "memory.max", std::to_string(4096 * kMiB));
  write(job + "memory.high", "max\n");
  write(job + "memory.current", std::to_string(3000 * kMiB));
  write(job + "memory.stat", "anon 1\nfile 2\ninactive_file " + std::to_string(1000 * kMiB) +
                                 "\nactive_file " + std::to_string(500 * kMiB) + "\n");
  EXPECT_EQ(look().bytes, (4096 - 1500) * kMiB);
  EXPECT_EQ(look().limit, "memory.max of the control group /user/job");
  write(job + "memory.high", std::to_string(2000 * kMiB));
  EXPECT_EQ(look().bytes, 500 * kMiB);
}

TEST_F(Memory, GroupsAboveLimitToo) {
  use_v2("/user/job");
  write("/sys/fs/cgroup/user/job/memory.max", "max\n");
  write("/sys/fs/cgroup/user/job/memory.current", "1048576\n");
  write("/sys/fs/cgroup/user/memory.max", std::to_string(1024 * kMiB) + "\n");
  write("/sys/fs/cgroup/user/memory.current", std::to_string(24 * kMiB) + "\n");
  EXPECT_EQ(look().bytes, 1000 * kMiB);
  EXPECT_EQ(look().limit, "memory.max of the control group /user");
}

// In a container the mount point shows the container's own group, but the path of the process's
// group is that of the host.
TEST_F(Memory, AContainersGroupIsFoundAtTheMount) {
  for (const char* root : {"/docker/abc", "/other"}) {
    use_v2("/docker/abc", root);
    write("/sys/fs/cgroup/memory.max", std::to_string(512 * kMiB) + "\n");
    write("/sys/fs/cgroup/memory.current", std::to_string(12 * kMiB) + "\n");
    EXPECT_EQ(look().bytes, 500 * kMiB) << root;
  }
}

TEST_F(Memory, TheFirstVersionOfControlGroups) {
  write("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/jobs/a\n0::/\n");
  write("/proc/self/mountinfo",
        "31 22 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "32 22 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "33 22 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  const std::string memory = "/sys/fs/cgroup/memory/";
  write(memory + "memory.limit_in_bytes", "9223372036854771712\n");
  write(memory + "memory.usage_in_bytes", std::to_string(4096 * kMiB));
  write(memory + "jobs/a/memory.limit_in_bytes", std::to_string(600 * kMiB));
  write(memory + "jobs/a/memory.usage_in_bytes", std::to_string(300 * kMiB));
  write(memory + "jobs/a/memory.stat",
        "cache 1\ntotal_inactive_file " + std::to_string(200 * kMiB) + "\ntotal_active_file 0\n");
  EXPECT_EQ(look().bytes, 500 * kMiB);
  EXPECT_EQ(look().limit, "memory.limit_in_bytes of the control group /jobs/a");
}

TEST_F(Memory, WhatCannotBeReadLimitsNothing) {
  for (const char* text : {"", "nonsense\n", "MemAvailable:\n"}) {
    write("/proc/meminfo", text);
    EXPECT_EQ(look().limit, "no known limit");
    EXPECT_EQ(look(200 * kMiB).bytes, 100 * kMiB);
  }
}

TEST(MemoryOfThisMachine, IsKnown) {
  EXPECT_GT(available_memory().bytes, 0);
  EXPECT_LT(available_memory().bytes, int64_t{1} << 50);
}

TEST(MemoryText, HasAUnit) {
  EXPECT_EQ(memory_text(999), "999 B");
  EXPECT_EQ(memory_text(3200000000), "3.2 GB");
}

}  // namespace
}  // namespace ddpm
