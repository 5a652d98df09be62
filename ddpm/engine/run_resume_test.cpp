// A run goes on as if it had never stopped, and only where it is surely the same run.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>

#include "ddpm/base/hash.h"
#include "ddpm/base/lock.h"
#include "ddpm/base/options.h"
#include "ddpm/engine/run_test_support.h"
#include "ddpm/io/safetensors.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Resume : public test::Run {
 protected:
  Resume() {
    options_.keep_checkpoints = 2;
    options_.steps = 6;
    options_.save_every = 3;
  }

  std::string path(const std::string& name) const { return folder_ / ("a/" + name); }

  // Hashes of all files of the run by name, without the speed in metrics.jsonl.
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "a")) {
      if (!entry.is_regular_file()) continue;
      std::string text = read_file(entry.path());
      if (entry.path().filename() == "metrics.jsonl") {
        for (size_t at; (at = text.find(",\"images_per_s\"")) != std::string::npos;)
          text.erase(at, text.find('}', at) - at);
      }
      all[fs::relative(entry.path(), folder_ / "a")] = hash_hex(text);
    }
    return all;
  }

  TrainResult resume(bool accept_changed_data = false) {
    warnings_.clear();
    TrainEvents events;
    events.warned = [&](const std::string& text) { warnings_ += text + "\n"; };
    return train(
        options_,
        {.directory = folder_ / "a", .resume = true, .accept_changed_data = accept_changed_data},
        events, stop_);
  }

  std::string refusal(const std::function<void()>& action) {
    try {
      action();
    } catch (const UsageError& error) {
      return error.what();
    }
    return "no UsageError";
  }

  // The same file with one bit flipped in the middle of its tensors.
  static void damage(const std::string& file) {
    std::string contents = read_file(file);
    contents[contents.size() / 2] ^= 4;
    write_file_atomic(file, contents);
  }

  // A run of other options in folder_/other.
  void run_other(const std::function<void(TrainOptions&)>& change) {
    TrainOptions other = options_;
    change(other);
    train(other, {.directory = folder_ / "other"}, {}, stop_);
  }

  std::string warnings_;
};

TEST_F(Resume, MakesWhatTheLastSaveDidNotDo) {
  run("a");
  const auto whole = files();
  const std::string old_model = folder_ / "old.safetensors";
  run_other([](TrainOptions& options) { options.steps = 3; });
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
  options_.sample_every = 3;
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
  run("a");
  const auto whole = files();
  fs::remove_all(folder_ / "a");
  TrainEvents events;
  events.stepped = [&](const StepMetrics& step, double) { stop_ = step.step == 4; };
  EXPECT_FALSE(run("a", false, events).finished);
  EXPECT_TRUE(fs::exists(path("checkpoints/step-00000004.safetensors")));
  stop_ = false;
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(files(), whole);
}

TEST_F(Resume, LostCheckpointsAreAnErrorAndNothingIsTouched) {
  run("a");
  fs::rename(path("checkpoints"), folder_ / "moved");
  const auto before = files();
  EXPECT_THROW(resume(), Error);
  EXPECT_EQ(files(), before);
  make_folder(path("checkpoints"));
  EXPECT_THROW(resume(), Error);
  EXPECT_EQ(files(), before);
  fs::remove(path("checkpoints"));
  fs::rename(folder_ / "moved", path("checkpoints"));
  EXPECT_TRUE(resume().finished);
}

TEST_F(Resume, ADamagedNewestCheckpointIsNamedAndTheOneBeforeTaken) {
  run("a");
  const auto whole = files();
  const std::string newest = path("checkpoints/step-00000006.safetensors");
  const std::function<void()> damages[] = {
      [&] { damage(newest); },
      [&] { write_file_atomic(newest, read_file(newest).substr(0, 1000)); },
      [&] { write_file_atomic(newest, ""); },
      [&] { write_file_atomic(newest, read_file(path("checkpoints/step-00000003.safetensors"))); },
      [&] { write_file_atomic(newest, read_file(path("model.safetensors"))); },
  };
  for (const auto& leave : damages) {
    leave();
    EXPECT_TRUE(resume().finished);
    EXPECT_THAT(warnings_, HasSubstr(newest));
    EXPECT_EQ(files(), whole);
  }
}

TEST_F(Resume, WithoutASoundCheckpointNothingIsTouched) {
  run("a");
  for (const char* step : {"3", "6"})
    damage(path("checkpoints/step-0000000" + std::string(step) + ".safetensors"));
  const auto before = files();
  EXPECT_THROW(resume(), Error);
  EXPECT_EQ(files(), before);
}

TEST_F(Resume, CheckpointsOfOtherRunsAreNotTaken) {
  run("a");
  const auto whole = files();
  const std::string newest = path("checkpoints/step-00000006.safetensors");
  const std::function<void(TrainOptions&)> changes[] = {
      [](TrainOptions& options) { options.seed = 1; },
      [](TrainOptions& options) { options.heads = 2, options.dim_head = 64; },
      [](TrainOptions& options) { options.schedule = "linear"; },
      [](TrainOptions& options) { options.lr = 1e-3; },
      [](TrainOptions& options) { options.ema_decay = 0.5; },
      [](TrainOptions& options) { options.flip = true; }};
  for (const auto& change : changes) {
    fs::remove_all(folder_ / "other");
    run_other(change);
    fs::copy_file(folder_ / "other/checkpoints/step-00000006.safetensors", newest,
                  fs::copy_options::overwrite_existing);
    EXPECT_TRUE(resume().finished);
    EXPECT_THAT(warnings_, HasSubstr("belongs to another run"));
    EXPECT_EQ(files(), whole);
  }
}

TEST_F(Resume, AnEditedConfigIsRefusedByName) {
  run("a");
  const std::string config = read_file(path("config.json"));
  const std::pair<std::string, std::string> edits[] = {
      {"\"lr\": 0.0002", "\"lr\": 0.1"},
      {"\"seed\": 0", "\"seed\": 5"},
      {"\"heads\": 4,\n  \"dim_head\": 32", "\"heads\": 2,\n  \"dim_head\": 64"},
      {"\"schedule\": \"cosine\"", "\"schedule\": \"linear\""}};
  for (const auto& [from, to] : edits) {
    std::string edited = config;
    ASSERT_NE(edited.find(from), std::string::npos) << from;
    edited.replace(edited.find(from), from.size(), to);
    write_file_atomic(path("config.json"), edited);
    options_ = read_run_options(folder_ / "a");
    EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("config.json was edited")) << to;
  }
  std::string edited = config;
  edited.replace(edited.find("\"steps\": 6"), 10, "\"steps\": 7");
  write_file_atomic(path("config.json"), edited);
  options_ = read_run_options(folder_ / "a");
  EXPECT_EQ(resume().steps, 7);
}

TEST_F(Resume, ALostConfigIsTakenFromTheNewestCheckpoint) {
  run("a");
  const auto whole = files();
  fs::remove(path("config.json"));
  EXPECT_THROW(run("a"), UsageError);
  EXPECT_EQ(read_run_options(folder_ / "a").batch, 2);
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(warnings_, HasSubstr("config.json is lost"));
  EXPECT_EQ(files(), whole);
}

TEST_F(Resume, ChangedPicturesAreRefusedUnlessAccepted) {
  run("a");
  const auto whole = files();
  options_.steps = 7;
  draw_picture("7", 10);
  EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("1 file added (7.png)"));
  fs::remove(folder_ / "pictures/7.png");
  fs::rename(folder_ / "pictures/2.png", folder_ / "2.png");
  EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("removed (2.png)"));
  draw_picture("2", 11);
  EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("changed (2.png)"));
  EXPECT_EQ(files(), whole);
  EXPECT_EQ(resume(true).steps, 7);
  options_.steps = 8;
  EXPECT_EQ(resume().steps, 8);  // accepted once, these are the run's pictures
  fs::rename(folder_ / "2.png", folder_ / "pictures/2.png");
  EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("changed (2.png)"));
}

TEST_F(Resume, ADamagedHashOfThePicturesIsNotTakenForChangedPictures) {
  run("a");
  const auto whole = files();
  std::string index = read_file(path("data.jsonl"));
  const size_t digit = index.find("\"hash\"") + 12;
  index[digit] = index[digit] == '0' ? '1' : '0';
  write_file_atomic(path("data.jsonl"), index);
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(files(), whole);
  std::string config = read_file(path("config.json"));
  const size_t other = config.find("\"data_hashes\"") + 20;
  config[other] = config[other] == '0' ? '1' : '0';
  write_file_atomic(path("config.json"), config);
  EXPECT_TRUE(resume().finished);
}

TEST_F(Resume, AMisspeltKeyOfTheConfigIsNamed) {
  run("a");
  std::string config = read_file(path("config.json"));
  config.replace(config.find("save_every"), 10, "savu_every");
  write_file_atomic(path("config.json"), config);
  try {
    read_run_options(folder_ / "a");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("savu_every"));
  }
}

TEST_F(Resume, AModelAloneIsNeitherResumedNorOverwritten) {
  run("a");
  fs::rename(path("model.safetensors"), folder_ / "m.safetensors");
  fs::remove_all(folder_ / "a");
  make_folder(folder_ / "a");
  fs::rename(folder_ / "m.safetensors", path("model.safetensors"));
  const auto before = files();
  EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("Choose another directory"));
  EXPECT_THAT(refusal([&] { run("a"); }), HasSubstr("Choose another directory"));
  EXPECT_EQ(files(), before);
}

TEST_F(Resume, AStopBeforeTheFirstStepLeavesNoCheckpoint) {
  run("a");
  const auto whole = files();
  fs::remove_all(folder_ / "a");
  stop_ = true;
  EXPECT_FALSE(run("a").finished);
  EXPECT_TRUE(list_checkpoints(folder_ / "a").empty());
  stop_ = false;
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(files(), whole);
}

TEST_F(Resume, WithoutConfigCheckpointsOfSeveralRunsAreAnError) {
  run("a");
  run_other([](TrainOptions& options) { options.seed = 1; });
  fs::remove(path("config.json"));
  fs::copy_file(folder_ / "other/checkpoints/step-00000006.safetensors",
                path("checkpoints/step-00000009.safetensors"));
  EXPECT_THROW(read_run_options(folder_ / "a"), Error);
}

TEST_F(Resume, ACheckpointWithoutMarksIsNotTakenByARunThatLeavesThem) {
  run("a");
  const auto whole = files();
  const std::string newest = path("checkpoints/step-00000006.safetensors");
  const ModelConfig config = load_model(folder_ / "a").config;
  Trainer other(options_, config, [](int64_t) { return Tensor(); });
  other.adam().set_steps(6);
  save_checkpoint(newest, config, other.network(), other.adam());
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(warnings_, HasSubstr("does not say which run"));
  EXPECT_EQ(files(), whole);
}

TEST_F(Resume, MetricsBeyondTheFirstSaveTellThatCheckpointsAreLost) {
  run("a");
  fs::remove(path("model.safetensors"));
  fs::remove_all(path("checkpoints"));
  make_folder(path("checkpoints"));
  const auto before = files();
  EXPECT_THROW(resume(), Error);
  EXPECT_EQ(files(), before);
}

TEST_F(Resume, AFolderOfOthersFilesIsNotTakenForARun) {
  make_folder(folder_ / "a");
  write_file_atomic(path("config.json"), "{\"a\": 1}");
  EXPECT_THAT(refusal([&] { run("a"); }), HasSubstr("config.json that is no run's"));
  fs::remove(path("config.json"));
  write_file_atomic(path("metrics.jsonl"), "precious\n");
  EXPECT_THAT(refusal([&] { run("a"); }), HasSubstr("metrics.jsonl that is no run's"));
  EXPECT_EQ(read_file(path("metrics.jsonl")), "precious\n");
}

TEST_F(Resume, ACheckpointThatIsAFolderIsNamedAndTheOneBeforeTaken) {
  run("a");
  const std::string newest = path("checkpoints/step-00000006.safetensors");
  fs::remove(newest);
  make_folder(newest);
  EXPECT_THROW(resume(), Error);  // the folder is in the way of the save
  EXPECT_THAT(warnings_, HasSubstr(newest));
}

TEST_F(Resume, AnotherSaveEveryKeepsTheNewestCheckpoints) {
  options_.keep_checkpoints = 3;
  options_.steps = 7;
  run("a");
  options_.save_every = 4;
  options_.steps = 8;
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
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    new AtomicFile(path("model.safetensors"));
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(list_names(folder_ / "elsewhere"), (std::vector<std::string>{"m.safetensors"}));
}

TEST_F(Resume, SamplesOfARunAreNoPicturesToTrainOn) {
  run("a");
  options_.data = path("samples");
  EXPECT_THAT(refusal([&] { run("b"); }), HasSubstr("belongs to a training"));
}

TEST_F(Resume, PicturesMayBeTouchedAndMoved) {
  run("a");
  const auto whole = files();
  fs::last_write_time(folder_ / "pictures/1.png", fs::file_time_type::clock::now());
  EXPECT_TRUE(resume().finished);
  fs::rename(folder_ / "pictures", folder_ / "elsewhere");
  EXPECT_THROW(resume(), Error);
  options_.data = folder_ / "elsewhere";
  EXPECT_TRUE(resume().finished);
}

TEST_F(Resume, ChannelsStayThoseOfTheStart) {
  for (int k = 0; k < 6; ++k) draw_picture(std::to_string(k), 40 * k, 1);
  run("a");
  EXPECT_EQ(read_run_options(folder_ / "a").channels, "1");
  draw_picture("coloured", 10);
  options_.steps = 8;
  EXPECT_EQ(resume(true).steps, 8);
  options_.channels = "1";
  options_.steps = 9;
  EXPECT_EQ(resume().steps, 9);
  options_.channels = "3";
  EXPECT_THROW(resume(), UsageError);
}

TEST_F(Resume, ARunInsideItsPictureFolderDoesNotTrainOnItsOwnSamples) {
  const std::string inside = folder_ / "pictures/run";
  train(options_, {.directory = inside}, {}, stop_);
  options_.steps = 8;
  EXPECT_EQ(train(options_, {.directory = inside, .resume = true}, {}, stop_).steps, 8);
}

TEST_F(Resume, TheFolderOfThePicturesIsNoRunDirectory) {
  const auto train_there = [&] {
    train(options_, {.directory = folder_ / "pictures/."}, {}, stop_);
  };
  EXPECT_THAT(refusal(train_there), HasSubstr("choose one of its own"));
}

TEST_F(Resume, ADirectoryIsUsedByOneTrainingAtATime) {
  run("a");
  {
    const FolderLock lock(folder_ / "a");
    EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("is in use by process"));
  }
  EXPECT_TRUE(resume().finished);
}

TEST_F(Resume, LeftoversOfKilledWritersAreRemoved) {
  run("a");
  const auto whole = files();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    new AtomicFile(path("checkpoints/step-00000006.safetensors"));
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  // As version 0.1.0 named them; the child's number is no process any more.
  write_file_atomic(path("model.safetensors." + std::to_string(child) + ".tmp"), "x");
  EXPECT_EQ(files().size(), whole.size() + 2);
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(files(), whole);
}

TEST_F(Resume, AGridThatCannotBeDrawnIsSaidAndEndsNothing) {
  run("a");
  options_.steps = 9;
  make_folder(path("samples/step-00000008.png"));
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(warnings_, HasSubstr("a sample grid was not drawn"));
  EXPECT_TRUE(fs::exists(path("samples/step-00000009.png")));
}

TEST_F(Resume, AStopWhileAGridIsDrawnDrawsItLater) {
  run("a");
  const auto whole = files();
  fs::remove_all(folder_ / "a");
  TrainEvents events;
  // The last save comes before the last grid.
  events.saved = [&](const std::string& file) { stop_ = file.ends_with("06.safetensors"); };
  EXPECT_FALSE(run("a", false, events).finished);
  EXPECT_FALSE(fs::exists(path("samples/step-00000006.png")));
  stop_ = false;
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(files(), whole);
}

// As version 0.1.0 left its runs: no marks, no checksums, no record of the pictures.
TEST_F(Resume, RunsOfVersion010GoOn) {
  options_.steps = 3;
  options_.keep_checkpoints = 1;
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
    // The tensors follow the metadata, which hold no object of their own.
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
  options_.steps = 6;
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(warnings_, HasSubstr("version 0.1.0"));
  auto resumed = files();
  EXPECT_EQ(resumed.erase("samples/step-00000003.png"), 1u);  // the last grid of the shorter run
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
  // These hold the run's id, which says who started it.
  for (const char* name :
       {"config.json", "model.safetensors", "checkpoints/step-00000006.safetensors"}) {
    EXPECT_EQ(whole.erase(name), 1u);
    EXPECT_EQ(resumed.erase(name), 1u);
  }
  EXPECT_EQ(resumed, whole);
}

}  // namespace
}  // namespace ddpm
