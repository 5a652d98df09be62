// Outputs that cannot take any more (closed, full, without a reader), and file names that contain
// codes for the terminal.
#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "ddpm/base/file.h"
#include "ddpm/io/safetensors.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

struct Loss {
  const char* name;
  void (*lose)(int descriptor);  // in the child
};

const Loss kLosses[] = {
    {"closed", [](int descriptor) { close(descriptor); }},
    {"full", [](int descriptor) { dup2(open("/dev/full", O_WRONLY), descriptor); }},
    {"no reader",
     [](int descriptor) {
       int ends[2];
       if (pipe(ends) != 0) _exit(126);
       dup2(ends[1], descriptor);
       close(ends[0]);
       close(ends[1]);
     }},
    {"read only", [](int descriptor) { dup2(open("/dev/null", O_RDONLY), descriptor); }},
};

class Output : public ::testing::Test {
 protected:
  static Outcome run_without(int descriptor, const Loss& loss,
                             const std::vector<std::string>& words) {
    return Program(words, {.prepare = [&] { loss.lose(descriptor); }}).wait();
  }
  std::vector<std::string> training(const std::string& run) const {
    return small_training(
        pictures_, run,
        {"--batch", "2", "--sample-every", "0", "--steps", "6", "--save-every", "2"});
  }

  TemporaryFolder folder_;
  const std::string pictures_ = folder_ / "pictures";
};

TEST_F(Output, ALostErrorOutputEndsNoTraining) {
  make_pictures(pictures_, 4);
  for (const Loss& loss : kLosses) {
    const std::string run = folder_ / loss.name;
    EXPECT_EQ(run_without(STDERR_FILENO, loss, training(run)).status, 0) << loss.name;
    EXPECT_TRUE(std::filesystem::exists(run + "/checkpoints/step-00000006.safetensors"))
        << loss.name;
  }
}

TEST_F(Output, ALostOutputEndsNoTraining) {
  make_pictures(pictures_, 4);
  for (const Loss& loss : kLosses) {
    const std::string run = folder_ / loss.name;
    EXPECT_EQ(run_without(STDOUT_FILENO, loss, training(run)).status, 0) << loss.name;
    EXPECT_TRUE(std::filesystem::exists(run + "/model.safetensors")) << loss.name;
  }
}

TEST_F(Output, ErrorsKeepTheirStatusWithoutAnErrorOutput) {
  for (const Loss& loss : kLosses) {
    EXPECT_EQ(run_without(STDERR_FILENO, loss, {"trian"}).status, 2) << loss.name;
    EXPECT_EQ(run_without(STDERR_FILENO, loss, {}).status, 2) << loss.name;
    EXPECT_EQ(run_without(STDERR_FILENO, loss, {"info", folder_ / "absent"}).status, 1)
        << loss.name;
  }
}

TEST_F(Output, AReaderThatHasGoneIsNoError) {
  make_model(folder_ / "model.safetensors");
  const Loss& no_reader = kLosses[2];
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--help"},
                                                {"--version"},
                                                {"train", "--help"},
                                                {"info", folder_ / "model.safetensors"}}) {
    const Outcome outcome = run_without(STDOUT_FILENO, no_reader, words);
    EXPECT_EQ(outcome.status, 0) << words[0];
    EXPECT_EQ(outcome.err, "") << words[0];
  }
}

TEST_F(Output, AFullDiskBehindTheOutputIsAnError) {
  make_model(folder_ / "model.safetensors");
  const Outcome outcome =
      run_without(STDOUT_FILENO, kLosses[1], {"info", folder_ / "model.safetensors", "--json"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("cannot write the output: No space left on device"));
}

// With standard error closed, the picture could get its descriptor, and messages would be written
// into the picture.
TEST_F(Output, MessagesNeverGoIntoAFile) {
  make_pictures(pictures_, 4);
  const std::vector<std::string> words = {"data", pictures_, "--size", "8", "--out"};
  const auto data = [&](const std::string& name, const std::function<void()>& prepare) {
    std::vector<std::string> all = words;
    all.push_back(folder_ / name);
    EXPECT_EQ(Program(all, {.prepare = prepare}).wait().status, 0);
    return read_file(folder_ / name);
  };
  const std::string right = data("right.png", [] {});
  EXPECT_EQ(data("closed.png",
                 [] {
                   for (const int fd : {0, 1, 2}) close(fd);
                 }),
            right);
}

class HostileNames : public Output {
 protected:
  static void expect_harmless(const std::string& text) {
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("\x7f")));
    EXPECT_THAT(text, Not(HasSubstr("\xc2\x9b")));
    EXPECT_THAT(text, Not(HasSubstr("\xe2\x80\xae")));
    EXPECT_THAT(text, Not(HasSubstr("\nddpm: fake")));
  }
  const std::string name_ = "\x1b[31m\nddpm: fake\x7f\xc2\x9b\xe2\x80\xae";
  const std::string shown_ = "\\x1b[31m\\nddpm: fake\\x7f\\u009b\\u202e";
};

TEST_F(HostileNames, OfPicturesAndFolders) {
  make_pictures(pictures_ + name_, 3);
  write_file_atomic(pictures_ + name_ + "/" + name_ + ".png", "\x89PNG\r\n\x1a\nno more");
  const std::string grid = folder_ / (name_ + "grid.png");
  const Outcome data = run_ddpm({"data", pictures_ + name_, "--size", "8", "--out", grid});
  EXPECT_EQ(data.status, 0) << data.err;
  expect_harmless(data.out + data.err);
  EXPECT_THAT(data.out, HasSubstr(shown_ + ".png: "));
  EXPECT_THAT(data.out, HasSubstr("wrote " + folder_.path() + "/" + shown_ + "grid.png"));

  std::vector<std::string> words = training(folder_ / (name_ + "run"));
  words[2] = pictures_ + name_;
  const Outcome plain = run_ddpm(words);
  EXPECT_EQ(plain.status, 0) << plain.err;
  expect_harmless(plain.out + plain.err);
  EXPECT_THAT(plain.err, HasSubstr("saved " + folder_.path() + "/" + shown_ + "run/checkpoints/"));
}

TEST_F(HostileNames, OfModelsAndFlags) {
  const std::string model = folder_ / (name_ + ".safetensors");
  make_model(model);
  const Outcome text = run_ddpm({"info", model});
  EXPECT_EQ(text.status, 0) << text.err;
  expect_harmless(text.out);
  EXPECT_THAT(text.out, HasSubstr(shown_));
  const Outcome json = run_ddpm({"info", model, "--json"});
  expect_harmless(json.out);
  EXPECT_EQ(Json::parse(json.out)["path"], model);
  for (const std::vector<std::string>& words : {std::vector<std::string>{name_},
                                                {"info", name_},
                                                {"bench", "--" + name_},
                                                {"bench", "--size", name_},
                                                {"sample", model, "--out", name_}}) {
    const Outcome outcome = run_ddpm(words);
    EXPECT_NE(outcome.status, 0);
    expect_harmless(outcome.err);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST_F(HostileNames, InAModelsConfiguration) {
  make_model(folder_ / "model.safetensors");
  const std::string config = folder_ / "config.json";
  write_file_atomic(config, Json{{name_, 1}}.dump());
  const Outcome outcome = run_ddpm({"train", "--out", folder_ / "run", "--config", config});
  EXPECT_EQ(outcome.status, 2);
  expect_harmless(outcome.err);
}

TEST_F(Output, CommandsToCopyAreQuoted) {
  make_pictures(pictures_, 4);
  const std::string here = folder_.path();
  for (const auto& [name, word] : std::vector<std::pair<std::string, std::string>>{
           {"plain-1.0", here + "/plain-1.0"},
           {"my run", fmt::format("'{}/my run'", here)},
           {"it's", fmt::format("'{}/it'\\''s'", here)},
           {"$(x)", fmt::format("'{}/$(x)'", here)},
           {"line\nbreak", fmt::format("$'{}/line\\012break'", here)}}) {
    const Outcome outcome = run_ddpm(training(folder_ / name));
    EXPECT_THAT(outcome.out, HasSubstr(fmt::format("\n  ddpm sample {} --out grid.png\n", word)));
  }
}

}  // namespace
}  // namespace ddpm::test
