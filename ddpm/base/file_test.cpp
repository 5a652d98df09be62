#include "ddpm/base/file.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

class FileTest : public testing::Test {
 protected:
  std::string path(const char* name) const { return folder_ / name; }
  int64_t entries() const {
    return std::distance(std::filesystem::directory_iterator(folder_),
                         std::filesystem::directory_iterator());
  }
  const test::TemporaryFolder temporary_;
  const std::filesystem::path folder_ = temporary_.path();
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
  const std::string message = test::message_of([&] { read_file(path("absent")); });
  EXPECT_NE(message.find("absent: No such file"), std::string::npos) << message;
  EXPECT_THROW(write_file_atomic(path("no/such/folder/f"), "x"), Error);
  EXPECT_THROW(read_file(folder_), Error);
  write_file_atomic(path("f"), "x");
  EXPECT_THROW(make_folder(path("f")), Error);
}

TEST_F(FileTest, AdviceAboutWritingIsNotGivenForReading) {
  write_file_atomic(path("f"), "x");
  try {
    write_file_atomic(path("f/below"), "x");
    FAIL();
  } catch (const SystemError& error) {
    EXPECT_EQ(error.code(), ENOTDIR);
  }
  try {
    read_file(folder_);
    FAIL();
  } catch (const SystemError& error) {
    EXPECT_EQ(error.code(), EISDIR);
    EXPECT_EQ(std::string(error.what()).find("choose"), std::string::npos) << error.what();
  }
}

TEST_F(FileTest, MoreThanTheLimitIsAnError) {
  write_file_atomic(path("f"), std::string(100, 'x'));
  EXPECT_EQ(read_file(path("f"), 100).size(), 100u);
  EXPECT_THROW(read_file(path("f"), 99), Error);
}

TEST_F(FileTest, AFolderIsNoTarget) {
  make_folder(path("d"));
  EXPECT_THROW(AtomicFile(path("d")), SystemError);
  EXPECT_EQ(entries(), 1);
}

TEST_F(FileTest, TheLongestNameCanBeWritten) {
  const std::string name(255, 'n');
  write_file_atomic(path(name.c_str()), "x");
  EXPECT_EQ(read_file(path(name.c_str())), "x");
}

TEST_F(FileTest, ModesAreKept) {
  write_file_atomic(path("f"), "old");
  std::filesystem::permissions(path("f"), std::filesystem::perms(0640));
  write_file_atomic(path("f"), "new");
  EXPECT_EQ(std::filesystem::status(path("f")).permissions(), std::filesystem::perms(0640));
}

TEST_F(FileTest, LinksAreKeptAndTheirTargetReplaced) {
  make_folder(path("d"));
  write_file_atomic(path("d/f"), "old");
  std::filesystem::create_symlink("d/f", path("link"));
  std::filesystem::create_symlink("d/absent", path("dangling"));
  write_file_atomic(path("link"), "new");
  write_file_atomic(path("dangling"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
  EXPECT_EQ(read_file(path("d/f")), "new");
  EXPECT_EQ(read_file(path("d/absent")), "new");
}

TEST_F(FileTest, ALinkIsReplacedIfItIsNotFollowed) {
  const std::string file = folder_ / "file", link = folder_ / "link", lost = folder_ / "lost";
  write_file_atomic(file, "old");
  std::filesystem::create_symlink("file", link);
  std::filesystem::create_symlink("nothing", lost);
  EXPECT_TRUE(is_link(link) && is_link(lost));
  for (const std::string& path : {link, lost}) {
    write_file_atomic(path, "new", {.sync = false, .follow_links = false});
    EXPECT_FALSE(is_link(path));
    EXPECT_EQ(read_file(path), "new");
  }
  EXPECT_EQ(read_file(file), "old");
  EXPECT_FALSE(is_link(file) || exists(folder_ / "nothing"));
}

TEST_F(FileTest, ALinkThatLeadsInACircleIsAnError) {
  std::filesystem::create_symlink("b", path("a"));
  std::filesystem::create_symlink("a", path("b"));
  EXPECT_THROW(AtomicFile(path("a")), SystemError);
}

TEST_F(FileTest, ADeviceIsWrittenAndStaysADevice) {
  std::filesystem::create_symlink("/dev/null", path("null"));
  write_file_atomic(path("null"), "gone");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_EQ(entries(), 1);
}

TEST_F(FileTest, NamesAreListedInOrder) {
  for (const char* name : {"b", ".hidden", "a"}) write_file_atomic(path(name), "");
  EXPECT_EQ(list_names(folder_), (std::vector<std::string>{".hidden", "a", "b"}));
  EXPECT_THROW(list_names(path("absent")), SystemError);
  EXPECT_THROW(list_names(path("a")), SystemError);
}

TEST_F(FileTest, BytesCanBeWrittenOver) {
  AtomicFile file(path("f"));
  file.write("0000 rest");
  file.overwrite(1, "12");
  file.commit();
  EXPECT_EQ(read_file(path("f")), "0120 rest");
}

TEST_F(FileTest, FilesOfDeadWritersAreRemovedAndOthersKept) {
  const AtomicFile alive(path("f"));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    new AtomicFile(path("g"));
    // As after a kill: no destructor runs.
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  write_file_atomic(path("other.tmp"), "x");
  ASSERT_EQ(entries(), 3);
  remove_abandoned_files(folder_);
  EXPECT_EQ(entries(), 2);
}

TEST_F(FileTest, NewFoldersAreRemovedUnlessTheyAreKeptOrFilled) {
  { const NewFolder folder(path("a/b/c/")); }
  EXPECT_EQ(entries(), 0);
  {
    const NewFolder folder(path("a/b"));
    write_file_atomic(path("a/x"), "");
  }
  EXPECT_EQ(list_names(path("a")), std::vector<std::string>{"x"});
  {
    NewFolder folder(path("a/b"));
    folder.keep();
  }
  EXPECT_TRUE(exists(path("a/b")));
  const std::string too_long(300, 'x');
  EXPECT_THROW(NewFolder(path("d/") + too_long), SystemError);
  EXPECT_FALSE(exists(path("d")));
}

TEST(File, HashOfAFileIsThatOfItsContents) {
  const test::TemporaryFolder folder;
  std::string contents(3'000'001, 'x');
  contents[2'500'000] = 'y';
  write_file_atomic(folder / "file", contents);
  EXPECT_EQ(hash_of_file(folder / "file"), hash_hex(contents));
  EXPECT_THROW(hash_of_file(folder / "absent"), SystemError);
}

}  // namespace
}  // namespace ddpm
