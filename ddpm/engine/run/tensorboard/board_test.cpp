// TensorBoard's files, read back by other programs' means: protoc --decode_raw and a checksum that
// is computed bit by bit.
#include "ddpm/engine/run/tensorboard/board.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "ddpm/base/file.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/run/run_test_support.h"
#include "ddpm/nn/network.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

uint32_t checksum_by_bits(const std::string& bytes) {
  uint32_t rest = 0xffffffff;
  for (const char byte : bytes) {
    rest ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) rest = (rest & 1) != 0 ? (rest >> 1) ^ 0x82f63b78 : rest >> 1;
  }
  return rest ^ 0xffffffff;
}

uint64_t number_at(const std::string& bytes, size_t at, int count) {
  uint64_t number = 0;
  for (int i = count - 1; i >= 0; --i)
    number = number << 8 | static_cast<uint8_t>(bytes[at + static_cast<size_t>(i)]);
  return number;
}

uint64_t masked(const std::string& bytes) {
  const uint32_t sum = checksum_by_bits(bytes);
  return (sum >> 15 | sum << 17) + 0xa282ead8u;
}

// The records of a file. Expects every checksum to be right.
std::vector<std::string> records_of(const std::string& path) {
  const std::string file = read_file(path);
  std::vector<std::string> records;
  size_t at = 0;
  while (at + 12 <= file.size()) {
    const auto length = static_cast<size_t>(number_at(file, at, 8));
    EXPECT_EQ(number_at(file, at + 8, 4), masked(file.substr(at, 8)));
    if (at + 16 + length > file.size()) break;
    records.push_back(file.substr(at + 12, length));
    EXPECT_EQ(number_at(file, at + 12 + length, 4), masked(records.back()));
    at += 16 + length;
  }
  EXPECT_EQ(at, file.size());
  return records;
}

// What protoc prints of a record, without the time and on one line: "2: 7 5 { 1 { 1: \"loss\" ...".
std::string decoded(const std::string& record) {
  // Not a TemporaryFolder, because a test has only one.
  const std::string path = fmt::format("{}/ddpm-record-{}", ::testing::TempDir(), getpid());
  write_file_atomic(path, record);
  const std::string command = fmt::format("protoc --decode_raw < '{}'", path);
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  for (int c; (c = fgetc(pipe)) != EOF;) {
    if (c == '\n') c = ' ';
    if (c != ' ' || (!text.empty() && text.back() != ' ')) text += static_cast<char>(c);
  }
  EXPECT_EQ(pclose(pipe), 0);
  remove_file(path);
  EXPECT_EQ(text.substr(0, 5), "1: 0x");
  return text.substr(text.find(' ', 3) + 1);
}

std::vector<std::string> decoded_file(const std::string& path) {
  std::vector<std::string> all;
  for (const std::string& record : records_of(path)) all.push_back(decoded(record));
  return all;
}

TEST(Crc32c, IsThatOfTheStandard) {
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
}

TEST(RecordFile, IsNeverOverwritten) {
  const test::TemporaryFolder folder;
  RecordFile(folder / "file").append("abc");
  EXPECT_THAT(records_of(folder / "file"), ElementsAre("abc"));
  EXPECT_THROW(RecordFile(folder / "file"), SystemError);
}

TEST(RecordFile, HoldsWholeRecordsAfterAFailure) {
  const test::TemporaryFolder folder;
  RecordFile file(folder / "file");
  file.append("abc");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit low{.rlim_cur = 30, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  EXPECT_THROW(file.append("a record that is too long"), SystemError);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(records_of(folder / "file"), ElementsAre("abc"));
  file.append("d");
  EXPECT_THAT(records_of(folder / "file"), ElementsAre("abc", "d"));
}

TEST(Board, PicturesMustBePngFiles) {
  const test::TemporaryFolder run;
  Board board(run.path(), 1);
  EXPECT_THROW(board.add_picture(1, "samples", run / "none.png"), Error);
  write_file_atomic(run / "bad.png", "short");
  EXPECT_THROW(board.add_picture(1, "samples", run / "bad.png"), Error);
}

TEST(Board, WritesWhatTensorBoardReads) {
  const test::TemporaryFolder run;
  {
    Board board(run.path(), 1);
    board.add(7, {{"loss", 0.5}, {"val_by_level/7", -2}});
    board.go_on_from(4);
    Tensor picture({2, 3, 4}, DType::kUInt8);
    std::fill_n(picture.u8(), picture.elements(), uint8_t{0});
    write_png(run / "p.png", picture);
    board.add_picture(300, "samples", run / "p.png");
  }
  const std::vector<std::string> file =
      decoded_file(run / "tensorboard/events.out.tfevents.000001");
  ASSERT_THAT(file, SizeIs(5));
  EXPECT_EQ(file[0], "2: 1 3: \"brain.Event:2\" ");
  EXPECT_EQ(file[1], "2: 1 7 { 1: 1 } ");
  // 0x3f000000 is 0.5, 0xc0000000 is -2.
  EXPECT_EQ(
      file[2],
      "2: 7 5 { 1 { 1: \"loss\" 2: 0x3f000000 } 1 { 1: \"val_by_level/7\" 2: 0xc0000000 } } ");
  EXPECT_EQ(file[3], "2: 4 7 { 1: 1 } ");
  EXPECT_THAT(file[4], HasSubstr("2: 300 5 { 1 { 1: \"samples\" 4 { 1: 2 2: 3 3: 4 4: \"\\211PNG"));
}

class BoardOfRun : public test::Resume {
 protected:
  BoardOfRun() {
    options_.run.tensorboard = true;
    options_.run.sample_every = 3;
    options_.run.eval_every = 3;
    options_.run.eval_n = 2;
    options_.process.timesteps = 10;
    options_.data.validation = 0.5;
    options_.run.validate_every = 2;
    for (int k = 6; k < 12; ++k) draw_picture(std::to_string(k), 15 * k);
  }
  std::vector<std::string> file(int number) const {
    return decoded_file(path(fmt::format("tensorboard/events.out.tfevents.{:06}", number)));
  }
};

// The steps whose records hold a text, in the order of the file.
std::vector<int> steps_with(const std::vector<std::string>& file, const std::string& text) {
  std::vector<int> steps;
  for (const std::string& record : file) {
    if (record.find(text) != std::string::npos) steps.push_back(std::stoi(record.substr(3)));
  }
  return steps;
}

TEST_F(BoardOfRun, HasAllFigures) {
  run("a");
  EXPECT_EQ(list_names(path("tensorboard")),
            (std::vector<std::string>{"events.out.tfevents.000001"}));
  const std::vector<std::string> all = file(1);
  for (const char* tag : {"\"loss\"", "\"grad_norm\"", "\"lr\"", "\"images_per_s\""})
    EXPECT_THAT(steps_with(all, tag), ElementsAre(1, 2, 3, 4, 5, 6)) << tag;
  for (const char* tag : {"\"val_loss\"", "\"val_by_level/0\"", "\"val_by_level/7\""})
    EXPECT_THAT(steps_with(all, tag), ElementsAre(2, 4, 6)) << tag;
  EXPECT_THAT(steps_with(all, "\"frechet\""), ElementsAre(3, 6));
  EXPECT_THAT(steps_with(all, "\"samples\""), ElementsAre(3, 6));
}

TEST_F(BoardOfRun, ASessionSaysFromWhichStepItGoesOn) {
  RunObserver observer;
  observer.stepped = [](const RunMetrics& step) {
    if (step.step == 5) throw std::runtime_error("killed");
  };
  EXPECT_THROW(run("a", false, observer), std::runtime_error);
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(steps_with(file(1), "\"loss\""), ElementsAre(1, 2, 3, 4, 5));
  const std::vector<std::string> second = file(2);
  EXPECT_EQ(second[1], "2: 4 7 { 1: 1 } ");
  EXPECT_THAT(steps_with(second, "\"loss\""), ElementsAre(4, 5, 6));
  // A session that does nothing leaves nothing to be shown.
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(file(3), SizeIs(2));
}

TEST_F(BoardOfRun, AFolderThatCannotBeMadeOnlyWarns) {
  options_.run.tensorboard = false;
  options_.optimizer.steps = 3;
  run("a");
  options_.run.tensorboard = true;
  options_.optimizer.steps = 6;
  write_file_atomic(path("tensorboard"), "in the way");
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(warnings_, ::testing::HasSubstr("nothing is written for TensorBoard"));
  EXPECT_EQ(read_file(path("tensorboard")), "in the way");
}

TEST_F(BoardOfRun, AFileWithoutRecordsIsRemoved) {
  const std::string file = folder_ / "empty";
  { const RecordFile record(file); }
  EXPECT_FALSE(fs::exists(file));
}

TEST_F(BoardOfRun, ChangesNothingElse) {
  run("a");
  options_.run.tensorboard = false;
  run_other([](TrainOptions&) {});
  EXPECT_FALSE(fs::exists(folder_ / "other/tensorboard"));
  const auto weights_of = [&](const std::string& run) {
    std::vector<std::vector<float>> all;
    const Model model = load_model(folder_ / run);
    for (const NamedParameter& named : model.network->parameters())
      all.push_back(named.parameter->variable.value().values());
    return all;
  };
  EXPECT_EQ(weights_of("a"), weights_of("other"));
  EXPECT_EQ(read_file(path("loss.png")), read_file(folder_ / "other/loss.png"));
}

}  // namespace
}  // namespace ddpm
