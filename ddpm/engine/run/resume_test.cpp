// A resumed run continues as if it had never stopped.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "ddpm/base/hash.h"
#include "ddpm/base/options.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/run/run_test_support.h"
#include "ddpm/io/safetensors.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using test::Resume;
using ::testing::HasSubstr;

// A process that ends while it writes a file; gives its number.
pid_t die_while_writing(const std::string& path) {
  const pid_t child = fork();
  EXPECT_GE(child, 0);
  if (child == 0) {
    new AtomicFile(path);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return child;
}

TEST_F(Resume, MakesWhatTheLastSaveDidNotDo) {
  run("a");
  const auto whole = files();
  const std::string old_model = folder_ / "old.safetensors";
  run_other([](TrainOptions& options) { options.optimizer.steps = 3; });
  fs::copy_file(folder_ / "other/model.safetensors", old_model);
  const struct {
    const char* what;
    std::function<void()> leave;
  } cases[] = {
      {"no model", [&] { fs::remove(path("model.safetensors")); }},
      {"an old model",
       [&] {
         fs::copy_file(old_model, path("model.safetensors"), fs::copy_options::overwrite_existing);
       }},
      {"a damaged model", [&] { damage(path("model.safetensors")); }},
      {"no curve", [&] { fs::remove(path("loss.png")); }},
      {"no last grid", [&] { fs::remove(path("samples/step-00000006.png")); }},
      {"an old checkpoint",
       [&] { write_file_atomic(path("checkpoints/step-00000000.safetensors"), "x"); }},
      {"no data index", [&] { fs::remove(path("data.jsonl")); }},
      {"a damaged data index", [&] { write_file_atomic(path("data.jsonl"), "{\"na"); }},
      {"a half-written line", [&] {
         write_file_atomic(path("metrics.jsonl"), read_file(path("metrics.jsonl")) + "{\"step\":7");
       }}};
  for (const auto& c : cases) {
    c.leave();
    EXPECT_NE(files(), whole) << c.what;
    EXPECT_TRUE(resume().finished) << c.what;
    EXPECT_EQ(files(), whole) << c.what;
  }
}

TEST_F(Resume, DrawsAGridThatWasDue) {
  options_.run.sample_every = 3;
  run("a");
  const auto whole = files();
  fs::remove(path("checkpoints/step-00000006.safetensors"));
  fs::remove(path("model.safetensors"));
  fs::remove(path("samples/step-00000003.png"));
  fs::remove(path("samples/step-00000006.png"));
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(files(), whole);
}

TEST_F(Resume, EndsWithTheFilesOfARunThatWasStoppedInBetween) {
  const auto whole = files_of_whole_run();
  RunObserver observer;
  observer.stepped = [&](const RunMetrics& step) { stop_ = step.step == 4; };
  EXPECT_FALSE(run("a", false, observer).finished);
  EXPECT_TRUE(fs::exists(path("checkpoints/step-00000004.safetensors")));
  expect_to_go_on_to(whole);
}

TEST_F(Resume, AStopBeforeTheFirstStepLeavesNoCheckpoint) {
  const auto whole = files_of_whole_run();
  stop_ = true;
  EXPECT_FALSE(run("a").finished);
  EXPECT_TRUE(list_checkpoints(folder_ / "a").empty());
  expect_to_go_on_to(whole);
}

TEST_F(Resume, AnotherSaveEveryKeepsTheNewestCheckpoints) {
  options_.run.keep_checkpoints = 3;
  options_.optimizer.steps = 7;
  run("a");
  options_.run.save_every = 4;
  options_.optimizer.steps = 8;
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(list_names(path("checkpoints")),
            (std::vector<std::string>{"step-00000003.safetensors", "step-00000006.safetensors",
                                      "step-00000008.safetensors"}));
}

TEST_F(Resume, FilesOfOthersStay) {
  run("a");
  write_file_atomic(path("notes.999999.tmp"), "mine");
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(read_file(path("notes.999999.tmp")), "mine");
}

TEST_F(Resume, LeftoversBesideTheTargetOfALinkAreRemoved) {
  run("a");
  make_folder(folder_ / "elsewhere");
  fs::rename(path("model.safetensors"), folder_ / "elsewhere/m.safetensors");
  fs::create_symlink(folder_ / "elsewhere/m.safetensors", path("model.safetensors"));
  die_while_writing(path("model.safetensors"));
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(list_names(folder_ / "elsewhere"), (std::vector<std::string>{"m.safetensors"}));
}

TEST_F(Resume, LeftoversOfKilledWritersAreRemoved) {
  run("a");
  const auto whole = files();
  const pid_t child = die_while_writing(path("checkpoints/step-00000006.safetensors"));
  // The names that version 0.1.0 used. The child process does not exist any more.
  write_file_atomic(path("model.safetensors." + std::to_string(child) + ".tmp"), "x");
  EXPECT_EQ(files().size(), whole.size() + 2);
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(files(), whole);
}

TEST_F(Resume, AGridThatCannotBeDrawnIsSaidAndEndsNothing) {
  run("a");
  options_.optimizer.steps = 9;
  make_folder(path("samples/step-00000008.png"));
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(warnings_, HasSubstr("a sample grid was not drawn"));
  EXPECT_TRUE(fs::exists(path("samples/step-00000009.png")));
}

TEST_F(Resume, AStopWhileAGridIsDrawnDrawsItLater) {
  const auto whole = files_of_whole_run();
  RunObserver observer;
  // The last save comes before the last grid.
  observer.saved = [&](const std::string& file) { stop_ = file.ends_with("06.safetensors"); };
  EXPECT_FALSE(run("a", false, observer).finished);
  EXPECT_FALSE(fs::exists(path("samples/step-00000006.png")));
  expect_to_go_on_to(whole);
}

// Runs in the form that version 0.1.0 wrote: no marks, no checksums, no record of the pictures.
TEST_F(Resume, RunsOfVersion010GoOn) {
  options_.optimizer.steps = 3;
  options_.run.keep_checkpoints = 1;
  run("a");
  for (const char* name : {"model.safetensors", "checkpoints/step-00000003.safetensors"}) {
    const std::string file = read_file(path(name));
    uint64_t length = 0;
    std::copy_n(file.data(), 8, reinterpret_cast<char*>(&length));
    const SafetensorsFile open = SafetensorsFile::open(path(name));
    JsonObject metadata;
    for (const auto& [key, value] : open.metadata()) {
      if (key == "ddpm.kind" || key == "ddpm.step" || key == "ddpm.config")
        metadata.set(key, json_value::write(value));
    }
    metadata.set("ddpm.version", "\"0.1.0\"");
    // The tensors follow the metadata. The metadata contain no nested object.
    const std::string header = file.substr(8, length);
    const std::string text =
        "{\"__metadata__\":" + metadata.dump(-1) + header.substr(header.find("},\"") + 1);
    const uint64_t new_length = text.size();
    write_file_atomic(path(name), std::string(reinterpret_cast<const char*>(&new_length), 8) +
                                      text + file.substr(8 + length));
  }
  JsonObject config = JsonObject::parse(read_file(path("config.json")), "config.json"), old;
  for (const auto& [key, value] : config.members())
    if (key != "run" && key != "data_hashes") old.set(key, value);
  old.set("channels", "\"auto\"");
  write_file_atomic(path("config.json"), old.dump());
  fs::remove(path("data.jsonl"));

  EXPECT_EQ(load_model(folder_ / "a").trained_steps, 3);
  options_.optimizer.steps = 6;
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(warnings_, HasSubstr("version 0.1.0"));
  auto resumed = files();
  // The last grid of the shorter run.
  EXPECT_EQ(resumed.erase("samples/step-00000003.png"), 1u);
  const auto state = [&] {
    const std::string file = read_file(path("checkpoints/step-00000006.safetensors"));
    uint64_t length = 0;
    std::copy_n(file.data(), 8, reinterpret_cast<char*>(&length));
    return hash_hex(file.substr(8 + length));
  };
  const std::string resumed_state = state();
  fs::remove_all(folder_ / "a");
  run("a");
  EXPECT_EQ(resumed_state, state());
  auto whole = files();
  // These files contain the run's id, which shows the version that started it.
  for (const char* name :
       {"config.json", "model.safetensors", "checkpoints/step-00000006.safetensors"}) {
    EXPECT_EQ(whole.erase(name), 1u);
    EXPECT_EQ(resumed.erase(name), 1u);
  }
  EXPECT_EQ(resumed, whole);
}

}  // namespace
}  // namespace ddpm
