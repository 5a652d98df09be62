#include "ddpm/comm/mpi/launcher.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <string_view>

namespace ddpm {
namespace {

// How long a launcher that works needs at most to end after its ranks.
constexpr int kPatience = 6000;

std::string word_after(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    if (word == key && file >> word) return word;
  }
  return {};
}

// The process of the launcher. 0 if there is none that this is about.
pid_t find_launcher() {
  constexpr std::array<std::string_view, 4> kNames = {"mpirun", "mpiexec", "orterun", "orted"};
  // There may be scripts in between.
  constexpr int kMostLevels = 8;
  pid_t process = getppid();
  for (int level = 0; process > 1 && level < kMostLevels; ++level) {
    const std::string status = fmt::format("/proc/{}/status", process);
    if (std::ranges::count(kNames, word_after(status, "Name:")) > 0) return process;
    process = std::atoi(word_after(status, "PPid:").c_str());
  }
  return 0;
}

bool has_ended(int launcher, int milliseconds) {
  pollfd wanted{.fd = launcher, .events = POLLIN, .revents = 0};
  return poll(&wanted, 1, milliseconds) != 0;
}

// Runs in a process of its own, whose memory is a copy of that of a process with threads. So it may
// only make system calls.
[[noreturn]] void end_it(int launcher) {
  // The launcher must neither end it with the ranks nor wait for its output.
  setsid();
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int descriptor : {0, 1, 2}) dup2(nothing, descriptor);
  close_range(3, static_cast<unsigned>(launcher) - 1, 0);
  close_range(static_cast<unsigned>(launcher) + 1, ~0U, 0);
  // SIGTERM would not help, because it is waiting for its helpers already.
  if (!has_ended(launcher, kPatience))
    syscall(SYS_pidfd_send_signal, launcher, SIGKILL, nullptr, 0);
  _exit(0);
}

}  // namespace

void end_launcher_if_stuck() {
  const pid_t process = find_launcher();
  if (process == 0) return;
  const int launcher = static_cast<int>(syscall(SYS_pidfd_open, process, 0));
  if (launcher < 0) return;
  if (fork() == 0) end_it(launcher);
  close(launcher);
}

}  // namespace ddpm
