// Runs on a disk that is full for a while. It is a file system in memory, and the tests are skipped
// where none may be mounted.
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "ddpm/base/disk.h"
#include "ddpm/engine/run/metrics_log.h"
#include "ddpm/engine/run/run_test_support.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using test::message_of;
using ::testing::HasSubstr;

class FullDisk : public test::Resume {
 protected:
  void SetUp() override {
    make_folder(folder_ / "a");
    mounted_ = mount("none", path("").c_str(), "tmpfs", 0, "size=16m") == 0;
    if (!mounted_) GTEST_SKIP() << "no file system may be mounted here";
    options_.optimizer.steps = 8;
    options_.run.save_every = 2;
    options_.run.keep_checkpoints = 1;
    options_.run.log_every = 1;
    options_.run.sample_every = 0;
  }
  void TearDown() override {
    if (mounted_) umount2(path("").c_str(), MNT_DETACH);
  }

  // Leaves `bytes` of the disk free.
  void fill(int64_t bytes = 0) {
    const int64_t piece = 4096;
    std::FILE* file = std::fopen(path("ballast").c_str(), "w");
    const std::string zeros(static_cast<size_t>(piece), '\0');
    while (*free_disk_bytes(folder_ / "a") >= bytes + piece) {
      if (std::fwrite(zeros.data(), 1, zeros.size(), file) != zeros.size()) break;
      if (std::fflush(file) != 0) break;
    }
    std::fclose(file);
  }
  void empty() { fs::remove(path("ballast")); }

  RunObserver observer(std::function<void(int64_t step)> stepped = {}) {
    RunObserver observer;
    observer.warned = [this](const std::string& text) { warnings_ += text + "\n"; };
    observer.stepped = [stepped = std::move(stepped)](const RunMetrics& metrics) {
      if (stepped) stepped(metrics.step);
    };
    return observer;
  }

  // The files of a run for which there was always space.
  std::map<std::string, std::string> files_with_space() {
    run("a", false, observer());
    EXPECT_EQ(warnings_, "");
    const auto all = files();
    for (const auto& entry : fs::directory_iterator(folder_ / "a")) fs::remove_all(entry.path());
    return all;
  }

  bool mounted_ = false;
};

TEST_F(FullDisk, LetsTrainingGoOnAndIsTriedAgain) {
  const auto whole = files_with_space();
  std::vector<std::string> names;
  run("a", false, observer([&](int64_t step) {
        if (step == 3) fill();
        if (step == 5) {
          names = list_names(path("checkpoints"));
          empty();
        }
      }));
  EXPECT_EQ(names, std::vector<std::string>{"step-00000002.safetensors"});
  EXPECT_THAT(warnings_, HasSubstr("step 4 was not saved (No space left on device; a save takes"));
  EXPECT_THAT(warnings_, HasSubstr("the next save is tried after step 6"));
  EXPECT_EQ(files(), whole);
}

TEST_F(FullDisk, AtTheEndIsAnErrorThatLosesNothing) {
  const auto whole = files_with_space();
  const std::string error = message_of([&] {
    run("a", false, observer([&](int64_t step) {
          if (step == 5) fill();
        }));
  });
  EXPECT_THAT(error, HasSubstr("step 8 could not be saved (No space left on device; a save takes"));
  EXPECT_THAT(error, HasSubstr("what was learnt after step 4 is lost"));
  EXPECT_THAT(error, HasSubstr("are missing"));
  EXPECT_EQ(list_names(path("checkpoints")), std::vector<std::string>{"step-00000004.safetensors"});
  for (const std::string& line : metrics("a")) EXPECT_TRUE(line.ends_with("}")) << line;
  empty();
  expect_to_go_on_to(whole);
}

TEST_F(FullDisk, BeforeTheFirstSaveARunStartsAgain) {
  const auto whole = files_with_space();
  const std::string error = message_of([&] {
    run("a", false, observer([&](int64_t step) {
          if (step == 1) fill(1 << 16);
        }));
  });
  EXPECT_THAT(error, HasSubstr("a resumed run starts at step 0"));
  EXPECT_EQ(list_names(path("checkpoints")), std::vector<std::string>{"not-saved-yet"});
  empty();
  expect_to_go_on_to(whole);
}

TEST_F(FullDisk, IsToldBeforeTheSaveIsDue) {
  fill(int64_t{1} << 16);
  message_of([&] {
    run("a", false, observer([&](int64_t step) {
          if (step == 1) fail("test", "stop");
        }));
  });
  EXPECT_THAT(warnings_, HasSubstr("there is no space for the next save; a save takes"));
}

TEST_F(FullDisk, CostsASnapshotAndSaysSo) {
  options_.run.snapshot_every = 3;
  run("a", false, observer([&](int64_t step) {
        if (step == 3) fill();
        if (step == 4) empty();
      }));
  EXPECT_THAT(warnings_, HasSubstr("the snapshot of step 3 is missing"));
  EXPECT_EQ(list_names(path("snapshots")), std::vector<std::string>{"step-00000006.safetensors"});
}

// There is space, but for no further file: only writing shows it.
TEST_F(FullDisk, MayShowOnlyWhileASaveIsWritten) {
  const auto whole = files_with_space();
  run("a", false, observer([&](int64_t step) {
        if (step != 3 && step != 5) return;
        struct statvfs disk {};
        ASSERT_EQ(statvfs(path("").c_str(), &disk), 0);
        const std::string option =
            "nr_inodes=" + std::to_string(step == 3 ? disk.f_files - disk.f_ffree : 1000);
        ASSERT_EQ(mount("none", path("").c_str(), "tmpfs", MS_REMOUNT, option.c_str()), 0);
      }));
  EXPECT_THAT(warnings_, HasSubstr("step 4 was not saved (cannot write"));
  EXPECT_EQ(files(), whole);
}

// Enough lines for more than one page of the file.
TEST_F(FullDisk, MakesLinesOfTheLogWait) {
  options_.optimizer.steps = 120;
  options_.run.save_every = 60;
  const auto whole = files_with_space();
  run("a", false, observer([&](int64_t step) {
        if (step == 3) fill();
        if (step == 110) empty();
      }));
  EXPECT_THAT(warnings_, HasSubstr("the lines of metrics.jsonl wait in memory"));
  EXPECT_THAT(warnings_, HasSubstr("metrics.jsonl has the lines that waited"));
  EXPECT_EQ(files(), whole);
}

TEST_F(FullDisk, LosesLinesThatWaitAtTheEnd) {
  options_.optimizer.steps = 120;
  options_.run.save_every = 2;
  EXPECT_THROW(run("a", false, observer([&](int64_t step) {
                     if (step == 3) fill();
                   })),
               SystemError);
  EXPECT_THAT(warnings_, HasSubstr("lines of metrics.jsonl that are lost: "));
  const std::string log = read_file(path("metrics.jsonl"));
  EXPECT_TRUE(log.ends_with("}\n"));
  EXPECT_EQ(mend_metrics(log, 1000).damaged, 0);
}

TEST_F(FullDisk, KeepsTheLogWhole) {
  MetricsLog log(folder_ / "a", 0);
  const auto append = [&](int64_t step) { log.append({.step = step, .loss = 0.5}, 1); };
  append(1);
  fill();
  // Lines that fill the last page, and one that does not fit as a whole.
  int64_t step = 1;
  while (log.waiting_lines() == 0 && step < 1000) append(++step);
  ASSERT_EQ(log.waiting_lines(), 1);
  EXPECT_TRUE(read_file(path("metrics.jsonl")).ends_with("}\n"));
  append(++step);
  EXPECT_EQ(log.waiting_lines(), 2);
  EXPECT_THROW(log.sync(), SystemError);
  empty();
  log.sync();
  EXPECT_EQ(log.waiting_lines(), 0);
  EXPECT_EQ(mend_metrics(read_file(path("metrics.jsonl")), 2000).steps.size(),
            static_cast<size_t>(step));
}

}  // namespace
}  // namespace ddpm
