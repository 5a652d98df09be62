#include "ddpm/base/lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "ddpm/base/error.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

using test::TemporaryFolder;

TEST(FolderLock, TheSecondIsToldWhoHoldsIt) {
  const TemporaryFolder folder;
  const FolderLock first(folder.path());
  const std::string message = test::refusal([&] { const FolderLock second(folder.path()); });
  EXPECT_NE(message.find("in use by process " + std::to_string(getpid())), std::string::npos)
      << message;
}

TEST(FolderLock, LeavesNothingBehindAndCanBeTakenAgain) {
  const TemporaryFolder folder;
  for (int i = 0; i < 2; ++i) const FolderLock lock(folder.path());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(FolderLock, EndsWithAProcessThatWasKilled) {
  const TemporaryFolder folder;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    new FolderLock(folder.path());
    // As after a kill: no destructor runs.
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(std::filesystem::exists(folder / ".lock"));
  { const FolderLock lock(folder.path()); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(FolderLock, AFolderThatIsNotThereIsAnError) {
  const TemporaryFolder folder;
  EXPECT_THROW(FolderLock(folder / "absent"), SystemError);
}

}  // namespace
}  // namespace ddpm
