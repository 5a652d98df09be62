#include "ddpm/comm/job_test_support.h"

#include <dirent.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "ddpm/base/error.h"

namespace ddpm::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// For Open MPI. Others ignore them.
const std::map<std::string, std::string> kSettings = {
    {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
    {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
    {"OMPI_MCA_btl", "self,tcp"},
    {"OMPI_MCA_pml", "ob1"},
    {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
    {"OMPI_MCA_hwloc_base_binding_policy", "none"},
    {"DDPM_MPI_PLUGIN", DDPM_MPI_PLUGIN_FILE},
};

constexpr const char* kMark = "DDPM_TEST_JOB";

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The processes whose environment has this mark, but not those that have ended already.
std::map<int, std::string> marked(const std::string& mark) {
  std::map<int, std::string> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const int process = std::atoi(entry.path().filename().c_str());
    if (process <= 0 || process == getpid()) continue;
    if (contents(entry.path() / "environ").find(mark) == std::string::npos) continue;
    std::string command = contents(entry.path() / "cmdline");
    std::ranges::replace(command, '\0', ' ');
    if (!command.empty()) found[process] = command;
  }
  return found;
}

}  // namespace

Job::Job(std::vector<std::string> command, const std::map<std::string, std::string>& environment)
    : start_(std::chrono::steady_clock::now()) {
  static int jobs = 0;
  const std::string name = fmt::format("{}-{}", getpid(), ++jobs);
  mark_ = fmt::format("{}={}", kMark, name);
  std::FILE* file = std::tmpfile();
  DDPM_CHECK(file != nullptr);
  output_ = dup(fileno(file));
  std::fclose(file);
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  process_ = fork();
  DDPM_CHECK(process_ >= 0);
  if (process_ != 0) return;
  setpgid(0, 0);
  dup2(output_, STDOUT_FILENO);
  dup2(output_, STDERR_FILENO);
  for (const auto& [key, value] : kSettings) setenv(key.c_str(), value.c_str(), 1);
  for (const auto& [key, value] : environment) setenv(key.c_str(), value.c_str(), 1);
  setenv(kMark, name.c_str(), 1);
  execvp(words[0], words.data());
  _exit(127);
}

Job::~Job() {
  for (const auto& [process, command] : marked(mark_)) kill(process, SIGKILL);
  if (process_ > 0) waitpid(process_, nullptr, 0);
  close(output_);
}

std::string Job::printed() const {
  std::string text;
  char buffer[4096];
  for (ssize_t got;
       (got = pread(output_, buffer, sizeof buffer, static_cast<off_t>(text.size()))) > 0;) {
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

bool Job::says(const std::string& words) const {
  const auto end = start_ + seconds(60);
  while (printed().find(words) == std::string::npos) {
    siginfo_t state{};
    waitid(P_PID, static_cast<id_t>(process_), &state, WEXITED | WNOHANG | WNOWAIT);
    if (state.si_pid != 0 || std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return true;
}

JobOutcome Job::wait() {
  JobOutcome outcome;
  int status = 0;
  const auto end = start_ + seconds(60);
  while (waitpid(process_, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) {
      outcome.output = "killed after 60 s; it had printed: " + printed();
      return outcome;
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  process_ = -1;
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.time = std::chrono::steady_clock::now() - start_;
  // Ranks end shortly after mpirun has killed them.
  for (int i = 0; i < 300 && !marked(mark_).empty(); ++i) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  for (const auto& [process, command] : marked(mark_)) outcome.left_over.push_back(command);
  outcome.output = printed();
  return outcome;
}

JobOutcome run_ranks(int ranks, const std::vector<std::string>& words,
                     const std::map<std::string, std::string>& environment) {
  std::vector<std::string> command = {DDPM_MPIRUN, "-n", std::to_string(ranks), DDPM_RANK_PROGRAM};
  command.insert(command.end(), words.begin(), words.end());
  std::map<std::string, std::string> all = environment;
  // There may be no other network.
  all.try_emplace("OMPI_MCA_btl_tcp_if_include", "lo");
  return Job(command, all).wait();
}

}  // namespace ddpm::test
