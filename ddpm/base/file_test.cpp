#include "ddpm/base/file.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("ddpm_file_test_" + std::to_string(::getpid()) + "_" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }
  std::string path(const char* name) const { return folder_ / name; }
  int64_t entries() const {
    return std::distance(std::filesystem::directory_iterator(folder_),
                         std::filesystem::directory_iterator());
  }
  std::filesystem::path folder_;
};

TEST_F(FileTest, RoundTrip) {
  const std::string contents("a\0b\n", 4);
  write_file_atomic(path("f"), contents);
  EXPECT_EQ(read_file(path("f")), contents);
  EXPECT_EQ(entries(), 1);
}

TEST_F(FileTest, WithoutCommitTheOldFileStays) {
  write_file_atomic(path("f"), "old");
  {
    AtomicFile file(path("f"));
    file.write("new and half wri");
  }
  EXPECT_EQ(read_file(path("f")), "old");
  EXPECT_EQ(entries(), 1);
}

TEST_F(FileTest, ErrorsNameThePathAndTheReason) {
  try {
    read_file(path("absent"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("absent: No such file"), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(write_file_atomic(path("no/such/folder/f"), "x"), Error);
  EXPECT_THROW(read_file(folder_), Error);
  write_file_atomic(path("f"), "x");
  EXPECT_THROW(make_folder(path("f")), Error);
}

}  // namespace
}  // namespace ddpm
