#include "tests/cli/program.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/train_options.h"
#include "ddpm/nn/tutorial/unet.h"

namespace ddpm::test {
namespace {

std::vector<char*> as_argv(std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return argv;
}

int nameless_file() {
  std::FILE* file = std::tmpfile();
  DDPM_CHECK(file != nullptr);
  const int descriptor = dup(fileno(file));
  std::fclose(file);
  return descriptor;
}

std::string contents(int descriptor) {
  std::string text;
  char buffer[4096];
  off_t at = 0;
  for (ssize_t got; (got = pread(descriptor, buffer, sizeof buffer, at)) > 0; at += got) {
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

int status_of(pid_t child, int64_t* peak_bytes = nullptr) {
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  if (peak_bytes != nullptr) *peak_bytes = usage.ru_maxrss * 1024;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Program::Program(const std::vector<std::string>& arguments, const Setting& setting)
    : out_(setting.output.empty() ? nameless_file() : open(setting.output.c_str(), O_WRONLY)),
      err_(nameless_file()) {
  std::vector<std::string> words = setting.launcher;
  words.emplace_back(DDPM_PROGRAM);
  words.insert(words.end(), arguments.begin(), arguments.end());
  const std::vector<char*> argv = as_argv(words);
  child_ = fork();
  DDPM_CHECK(child_ >= 0);
  if (child_ == 0) {
    dup2(out_, STDOUT_FILENO);
    dup2(err_, STDERR_FILENO);
    if (setting.prepare) setting.prepare();
    execvp(argv[0], argv.data());
    _exit(127);
  }
}

Program::~Program() {
  if (child_ > 0) {
    kill(child_, SIGKILL);
    status_of(child_);
  }
  close(out_);
  close(err_);
}

void Program::signal(int number) const { kill(child_, number); }

std::string Program::said() const { return contents(err_); }

Outcome Program::wait() {
  Outcome outcome;
  outcome.status = status_of(child_, &outcome.peak_bytes);
  child_ = -1;
  outcome.out = contents(out_);
  outcome.err = contents(err_);
  return outcome;
}

Outcome run_ddpm(const std::vector<std::string>& arguments) { return Program(arguments).wait(); }

void expect_refused(const std::vector<std::string>& arguments, int status,
                    const std::string& says) {
  const Outcome outcome = run_ddpm(arguments);
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_THAT(outcome.err, ::testing::HasSubstr("ddpm: "));
  EXPECT_THAT(outcome.err, ::testing::HasSubstr(says));
}

namespace {

// A program on a terminal of 100 columns: its process, and the test's side of the terminal.
std::pair<pid_t, int> start_on_terminal(const std::vector<std::string>& arguments,
                                        const std::function<void()>& prepare) {
  std::vector<std::string> words = {DDPM_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const std::vector<char*> argv = as_argv(words);
  winsize size{.ws_row = 24, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  DDPM_CHECK(child >= 0);
  if (child == 0) {
    prepare();
    execv(argv[0], argv.data());
    _exit(127);
  }
  return {child, terminal};
}

}  // namespace

Outcome ddpm_on_terminal(const std::vector<std::string>& arguments) {
  const auto [child, terminal] = start_on_terminal(arguments, [] {});
  Outcome outcome;
  char buffer[4096];
  for (ssize_t got; (got = read(terminal, buffer, sizeof buffer)) > 0;) {
    outcome.out.append(buffer, static_cast<size_t>(got));
  }
  outcome.status = status_of(child);
  close(terminal);
  return outcome;
}

Outcome on_closing_terminal(const std::vector<std::string>& arguments,
                            const std::function<bool()>& ready,
                            const std::function<void()>& prepare) {
  const auto [child, terminal] = start_on_terminal(arguments, prepare);
  const bool closed_in_time = ready();
  close(terminal);
  Outcome outcome;
  outcome.status = status_of(child);
  DDPM_CHECK(closed_in_time);
  return outcome;
}

std::vector<std::string> small_training(const std::string& pictures, const std::string& run,
                                        const std::vector<std::string>& more) {
  std::vector<std::string> words = {"train",    "--data",      pictures, "--out", run,
                                    "--recipe", "tutorial",    "--size", "8",     "--dim",
                                    "8",        "--dim-mults", "1,2"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

void make_pictures(const std::string& folder, int64_t count) {
  make_folder(folder);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t side = 9 + i % 3;
    Tensor picture({side, side, 3}, DType::kUInt8);
    for (int64_t p = 0; p < picture.elements(); ++p) {
      picture.u8()[p] = static_cast<uint8_t>(p % 3 == i % 3 ? 230 : (p * 7 + i * 31) % 90);
    }
    write_png((std::filesystem::path(folder) / (std::to_string(i) + ".png")).string(), picture);
  }
}

void make_model(const std::string& path, int64_t channels, const std::string& condition) {
  TrainOptions options;
  options.network = tutorial::UnetConfig{.dim = 8, .dim_mults = {1, 2}};
  options.process = {.timesteps = 100};
  options.data.condition = condition;
  const ModelConfig config = options.model_config(8, 8, channels);
  const auto network = make_network(config.network);
  network->initialize(1);
  std::vector<Tensor> weights;
  for (const NamedParameter& named : network->parameters()) {
    weights.push_back(named.parameter->variable.value());
  }
  save_model(path, config, *network, weights, 7);
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace ddpm::test
