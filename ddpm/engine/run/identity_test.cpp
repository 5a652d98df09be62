// A run continues only if it is certainly the same run, with the same pictures.
#include <gmock/gmock.h>

#include <functional>

#include "ddpm/base/lock.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/run/run_test_support.h"
#include "ddpm/engine/trainer.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using test::refusal;
using test::Resume;
using ::testing::HasSubstr;

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
      [](TrainOptions& options) { options.optimizer.seed = 1; },
      [](TrainOptions& options) {
        test::unet_of(options).heads = 2, test::unet_of(options).dim_head = 64;
      },
      [](TrainOptions& options) { options.process.schedule = "linear"; },
      [](TrainOptions& options) { options.optimizer.lr = 1e-3; },
      [](TrainOptions& options) { options.optimizer.ema_decay = 0.5; },
      [](TrainOptions& options) { options.data.flip = true; }};
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
  EXPECT_EQ(read_run_options(folder_ / "a").optimizer.batch, 2);
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(warnings_, HasSubstr("config.json is missing"));
  EXPECT_EQ(files(), whole);
}

TEST_F(Resume, ChangedPicturesAreRefusedUnlessAccepted) {
  run("a");
  const auto whole = files();
  options_.optimizer.steps = 7;
  draw_picture("7", 10);
  EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("1 file added (7.png)"));
  fs::remove(folder_ / "pictures/7.png");
  fs::rename(folder_ / "pictures/2.png", folder_ / "2.png");
  EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("removed (2.png)"));
  draw_picture("2", 11);
  EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("changed (2.png)"));
  EXPECT_EQ(files(), whole);
  EXPECT_EQ(resume(true).steps, 7);
  options_.optimizer.steps = 8;
  // Once accepted, these are the run's pictures.
  EXPECT_EQ(resume().steps, 8);
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
  EXPECT_THAT(test::message_of([&] { read_run_options(folder_ / "a"); }), HasSubstr("savu_every"));
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

TEST_F(Resume, WithoutConfigCheckpointsOfSeveralRunsAreAnError) {
  run("a");
  run_other([](TrainOptions& options) { options.optimizer.seed = 1; });
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
  Trainer other(options_.optimizer, config, [](int64_t) { return Tensor(); });
  other.optimizer().set_steps(6);
  save_checkpoint(newest, config, other.network(), other.optimizer());
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
  EXPECT_THAT(refusal([&] { run("a"); }), HasSubstr("config.json that does not belong to a run"));
  fs::remove(path("config.json"));
  write_file_atomic(path("metrics.jsonl"), "precious\n");
  EXPECT_THAT(refusal([&] { run("a"); }), HasSubstr("metrics.jsonl that does not belong to a run"));
  EXPECT_EQ(read_file(path("metrics.jsonl")), "precious\n");
}

TEST_F(Resume, ACheckpointThatIsAFolderIsNamedAndTheOneBeforeTaken) {
  run("a");
  const std::string newest = path("checkpoints/step-00000006.safetensors");
  fs::remove(newest);
  make_folder(newest);
  // The folder prevents the save.
  EXPECT_THROW(resume(), Error);
  EXPECT_THAT(warnings_, HasSubstr(newest));
}

TEST_F(Resume, SamplesOfARunAreNoPicturesToTrainOn) {
  run("a");
  options_.data.source = path("samples");
  EXPECT_THAT(refusal([&] { run("b"); }), HasSubstr("belongs to a training"));
}

TEST_F(Resume, PicturesMayBeTouchedAndMoved) {
  run("a");
  const auto whole = files();
  fs::last_write_time(folder_ / "pictures/1.png", fs::file_time_type::clock::now());
  EXPECT_TRUE(resume().finished);
  fs::rename(folder_ / "pictures", folder_ / "elsewhere");
  EXPECT_THROW(resume(), Error);
  options_.data.source = folder_ / "elsewhere";
  EXPECT_TRUE(resume().finished);
}

TEST_F(Resume, ChannelsStayThoseOfTheStart) {
  for (int k = 0; k < 6; ++k) draw_picture(std::to_string(k), 40 * k, 1);
  run("a");
  EXPECT_EQ(read_run_options(folder_ / "a").data.channels, "1");
  draw_picture("coloured", 10);
  options_.optimizer.steps = 8;
  EXPECT_EQ(resume(true).steps, 8);
  options_.data.channels = "1";
  options_.optimizer.steps = 9;
  EXPECT_EQ(resume().steps, 9);
  options_.data.channels = "3";
  EXPECT_THROW(resume(), UsageError);
}

TEST_F(Resume, ARunInsideItsPictureFolderDoesNotTrainOnItsOwnSamples) {
  const std::string inside = folder_ / "pictures/run";
  test::train(options_, {.directory = inside}, {}, stop_);
  options_.optimizer.steps = 8;
  EXPECT_EQ(test::train(options_, {.directory = inside, .resume = true}, {}, stop_).steps, 8);
}

TEST_F(Resume, TheFolderOfThePicturesIsNoRunDirectory) {
  const auto train_there = [&] {
    test::train(options_, {.directory = folder_ / "pictures/."}, {}, stop_);
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

}  // namespace
}  // namespace ddpm
