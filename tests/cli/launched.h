// For tests of commands that ddpm launch or mpirun starts on several ranks.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {

// Waits half a minute at most. Returns whether it is so in the end.
bool wait_until(const std::function<bool()>& there);

std::vector<std::string> launched(const std::vector<std::string>& flags,
                                  const std::vector<std::string>& command);

// Is skipped without MPI. Fails if a test leaves processes behind.
class LaunchTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Those that this test started, or only the ones of a rank.
  std::vector<pid_t> processes(int rank = -1) const;
  void signal_rank(int rank, int number) const;
  // Until the end of the test, `ddpm launch` finds this script as mpirun.
  void use_mpirun(const std::string& script) const;
  // A program that mpirun runs on two ranks.
  static std::unique_ptr<Program> by_mpirun(const std::vector<std::string>& command);

  std::vector<std::string> training(const std::string& steps,
                                    const std::vector<std::string>& more = {}) const;
  bool has_saved(const Program& program) const;
  std::string model() const;
  // The model of the training of so many steps without any trouble.
  std::string undisturbed(const std::string& steps) const;

  TemporaryFolder folder_;
  const std::string path_ = std::getenv("PATH");
  // The value of a variable that all processes of this test have.
  const std::string mark_ = folder_ / "mark";
  const std::string pictures_ = folder_ / "pictures";
  const std::string run_ = folder_ / "run";
};

// Steps of a training that does not end by itself.
inline constexpr const char* kLong = "1000000";

}  // namespace ddpm::test
