#include "tests/cli/launched.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"

#ifndef DDPM_MPIRUN
#define DDPM_MPIRUN ""
#endif

namespace ddpm::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr const char* kMark = "DDPM_TEST_LAUNCH";

// The variables of a process as "NAME=value", each between zero bytes.
std::string environment_of(const fs::path& process) {
  try {
    return '\0' + read_file((process / "environ").string());
  } catch (const Error&) {
    return {};
  }
}

bool has_variable(const std::string& environment, const std::string& name,
                  const std::string& value) {
  return environment.find('\0' + name + '=' + value + '\0') != std::string::npos;
}

}  // namespace

bool wait_until(const std::function<bool()>& there) {
  for (int i = 0; i < 6000 && !there(); ++i) std::this_thread::sleep_for(milliseconds(5));
  return there();
}

std::vector<std::string> launched(const std::vector<std::string>& flags,
                                  const std::vector<std::string>& command) {
  std::vector<std::string> words = {"launch"};
  words.insert(words.end(), flags.begin(), flags.end());
  words.emplace_back("--");
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

void LaunchTest::SetUp() {
  if (access(DDPM_MPIRUN, X_OK) != 0) GTEST_SKIP() << "ddpm was built without MPI";
  if (std::system("mpirun --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no mpirun";
  make_pictures(pictures_, 6);
  setenv(kMark, mark_.c_str(), 1);
  if (geteuid() == 0) {
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  }
}

void LaunchTest::TearDown() {
  for (const char* name : {"DDPM_LOST_AFTER", "DDPM_MPI_PLUGIN", "OMPI_MCA_plm_rsh_agent"})
    unsetenv(name);
  setenv("PATH", path_.c_str(), 1);
  EXPECT_TRUE(wait_until([&] { return processes().empty(); })) << "processes are left";
  for (const pid_t process : processes()) kill(process, SIGKILL);
}

std::vector<pid_t> LaunchTest::processes(int rank) const {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const pid_t process = std::atoi(entry.path().filename().c_str());
    if (process <= 0 || process == getpid()) continue;
    const std::string environment = environment_of(entry.path());
    if (!has_variable(environment, kMark, mark_)) continue;
    if (rank < 0 || has_variable(environment, "OMPI_COMM_WORLD_RANK", std::to_string(rank)))
      found.push_back(process);
  }
  return found;
}

void LaunchTest::signal_rank(int rank, int number) const {
  for (const pid_t process : processes(rank)) kill(process, number);
}

void LaunchTest::use_mpirun(const std::string& script) const {
  const std::string bin = folder_ / "bin", mpirun = bin + "/mpirun";
  make_folder(bin);
  write_file_atomic(
      mpirun, "#!/bin/sh\n[ \"$1\" = --version ] && exec echo 'mpirun (Open MPI) 4'\n" + script);
  fs::permissions(mpirun, fs::perms::owner_all);
  setenv("PATH", (bin + ":" + path_).c_str(), 1);
}

std::unique_ptr<Program> LaunchTest::by_mpirun(const std::vector<std::string>& command) {
  return std::make_unique<Program>(
      command, Program::Setting{
                   .launcher = {DDPM_MPIRUN, "--oversubscribe", "--bind-to", "none", "-n", "2"}});
}

std::vector<std::string> LaunchTest::training(const std::string& steps,
                                              const std::vector<std::string>& more) const {
  std::vector<std::string> words = {"--batch",        "8", "--steps",   steps, "--save-every", "10",
                                    "--sample-every", "0", "--threads", "1"};
  words.insert(words.end(), more.begin(), more.end());
  return small_training(pictures_, run_, words);
}

bool LaunchTest::has_saved(const Program& program) const {
  return program.said().find("saved " + run_ + "/checkpoints/") != std::string::npos;
}

std::string LaunchTest::model() const { return read_file(run_ + "/model.safetensors"); }

std::string LaunchTest::undisturbed(const std::string& steps) const {
  EXPECT_EQ(run_ddpm(launched({"-n", "1"}, training(steps))).status, 0);
  std::string all = model();
  fs::remove_all(run_);
  return all;
}

}  // namespace ddpm::test
