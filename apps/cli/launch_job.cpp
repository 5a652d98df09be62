#include "apps/cli/launch_job.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

#include "apps/cli/output.h"
#include "apps/cli/signals.h"
#include "ddpm/base/duration.h"
#include "ddpm/base/error.h"
#include "ddpm/base/retry.h"

namespace ddpm::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kSignals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                            SIGUSR2, SIGALRM, SIGXCPU, SIGTSTP, SIGCHLD};

// As in signals.cpp.
constexpr milliseconds kSameRequest{200};

// mpirun needs about two seconds to end its ranks.
constexpr milliseconds kEndsWithin{5000};
// The ranks end the job themselves when one of them is lost. This is when mpirun is stuck.
constexpr milliseconds kStuckAfter{20'000};
// How often to look whether mpirun still has processes, and how long it may go on without any.
constexpr milliseconds kLookEvery{1000};
constexpr milliseconds kNoRanksFor{5000};

// Those that were not ignored before. A blocked signal would arrive although it is ignored.
sigset_t signals_to_take() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kSignals) {
    struct sigaction action {};
    if (sigaction(number, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    sigaddset(&set, number);
  }
  return set;
}

}  // namespace

LaunchSignals::LaunchSignals() {
  // An ignored SIGCHLD would hide the exit statuses.
  signal(SIGCHLD, SIG_DFL);
  const sigset_t set = signals_to_take();
  sigprocmask(SIG_BLOCK, &set, nullptr);
  descriptor_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (descriptor_ < 0) fail_system("launch", "cannot receive signals", errno);
}

LaunchSignals::~LaunchSignals() { close(descriptor_); }

int LaunchSignals::next() const {
  signalfd_siginfo info{};
  const ssize_t got = retry([&] { return read(descriptor_, &info, sizeof info); });
  return got == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

void LaunchSignals::wait(milliseconds time) const {
  pollfd ready{.fd = descriptor_, .events = POLLIN, .revents = 0};
  poll(&ready, 1, static_cast<int>(time.count()));
}

LaunchJob::LaunchJob(std::vector<std::string> words, const std::string& start,
                     milliseconds start_timeout, LaunchedRanks& ranks, LaunchSignals& signals,
                     bool saves)
    : words_(std::move(words)),
      start_timeout_(start_timeout),
      ranks_(ranks),
      signals_(signals),
      saves_(saves),
      marks_(start) {}

LaunchJob::~LaunchJob() {
  if (mpirun_ > 0) kill(mpirun_, SIGKILL);
  end_others();
  if (output_ >= 0) close(output_);
}

LaunchEnd LaunchJob::run() {
  start_process();
  enter(Phase::kStarting, start_timeout_);
  while (mpirun_ > 0) wait();
  end_others();
  read_output();
  say_raw(marks_.rest());
  return end_;
}

void LaunchJob::start_process() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail_system("launch", "cannot make a pipe", errno);
  std::vector<char*> argv;
  for (std::string& word : words_) argv.push_back(word.data());
  argv.push_back(nullptr);
  // What mpirun leaves behind becomes a child of this process, which ends it.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t parent = getpid();
  mpirun_ = fork();
  if (mpirun_ < 0) fail_system("launch", "cannot start mpirun", errno);
  if (mpirun_ == 0) {
    // A session of its own: a Ctrl-C on the terminal reaches only this program, and ssh does not
    // ask for a password that nobody may be there to give.
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    dup2(ends[1], STDERR_FILENO);
    const sigset_t set = signals_to_take();
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
    // The ranks get the last two from this program, even if it ignores them itself.
    for (const int number : {SIGPIPE, SIGUSR1, SIGUSR2}) signal(number, SIG_DFL);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(ends[1]);
  output_ = ends[0];
  fcntl(output_, F_SETFL, O_NONBLOCK);
}

void LaunchJob::enter(Phase phase, std::optional<milliseconds> time) {
  phase_ = phase;
  deadline_ = time ? std::optional(Clock::now() + *time) : std::nullopt;
}

void LaunchJob::wait() {
  auto left = kLookEvery;
  if (deadline_)
    left = std::clamp(std::chrono::ceil<milliseconds>(*deadline_ - Clock::now()), milliseconds(0),
                      left);
  pollfd ready[] = {{.fd = signals_.descriptor(), .events = POLLIN, .revents = 0},
                    {.fd = output_, .events = POLLIN, .revents = 0}};
  poll(ready, std::size(ready), static_cast<int>(left.count()));
  if (ready[1].revents != 0) read_output();
  follow_ranks();
  take_signals();
  if (mpirun_ > 0) end_if_stuck();
  if (mpirun_ > 0 && deadline_ && Clock::now() >= *deadline_) pass_deadline();
}

void LaunchJob::read_output() {
  char buffer[65536];
  std::vector<Mark> marks;
  while (output_ >= 0) {
    const ssize_t got = retry([&] { return read(output_, buffer, sizeof buffer); });
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) {
      close(output_);
      output_ = -1;
      break;
    }
    say_raw(marks_.take({buffer, static_cast<size_t>(got)}, marks));
  }
  for (const Mark& mark : marks) ranks_.take(mark);
}

void LaunchJob::follow_ranks() {
  if (phase_ == Phase::kStarting && ranks_.not_started().empty())
    enter(Phase::kJoining, start_timeout_);
  if (phase_ == Phase::kJoining && ranks_.not_joined().empty()) enter(Phase::kRunning);
  if (phase_ < Phase::kEnding && ranks_.some_lost()) enter(Phase::kEnding, kStuckAfter);
}

void LaunchJob::say_missing(const std::vector<int>& missing, const std::string& what) const {
  const double waited = std::chrono::duration<double>(start_timeout_).count();
  say(fmt::format("ddpm: [launch] {} did not {} (--start-timeout {}): the job ends\n",
                  ranks_.names(missing), what, duration_text(waited)));
}

void LaunchJob::pass_deadline() {
  switch (phase_) {
    case Phase::kStarting:
      end_.incomplete = true;
      say_missing(ranks_.not_started(),
                  "start; each host must be up, let this one log in without a password (ssh HOST "
                  "true), and have mpirun and this program at the same place");
      break;
    case Phase::kJoining:
      end_.incomplete = true;
      say_missing(ranks_.not_joined(),
                  "connect to the others; does a firewall keep the hosts from opening TCP "
                  "connections to each other?");
      break;
    case Phase::kTerminating:
      kill(mpirun_, SIGKILL);
      return enter(Phase::kKilled);
    default:
      break;
  }
  kill(mpirun_, SIGTERM);
  enter(Phase::kTerminating, kEndsWithin);
}

// Ranks, or the logins to other hosts. Those that have ended but were not awaited do not count.
bool LaunchJob::has_ranks_here() {
  std::error_code error;
  for (const auto& thread :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", mpirun_), error)) {
    std::ifstream children(thread.path() / "children");
    for (pid_t child; children >> child;) {
      had_ranks_ = true;
      std::ifstream status(fmt::format("/proc/{}/status", child));
      std::string word;
      while (status >> word && word != "State:") continue;
      if (status >> word && word != "Z") return true;
    }
  }
  return false;
}

// Open MPI 4.1 with PMIx 4.2 sometimes waits for itself for ever when a rank is killed while it
// starts.
void LaunchJob::end_if_stuck() {
  const auto now = Clock::now();
  if (has_ranks_here()) {
    no_ranks_since_.reset();
  } else if (had_ranks_ && !no_ranks_since_) {
    no_ranks_since_ = now;
  } else if (had_ranks_ && now - *no_ranks_since_ > kNoRanksFor) {
    stuck_ = true;
    kill(mpirun_, SIGKILL);
  }
}

void LaunchJob::take_signals() {
  while (const int signal = signals_.next()) {
    if (signal == SIGTSTP)
      suspend();
    else if (signal != SIGCHLD)
      take_stop(signal);
  }
  reap();
}

void LaunchJob::take_stop(int signal) {
  const auto now = Clock::now();
  if (signals_.requests > 0 && now - signals_.last_request < kSameRequest) return;
  signals_.last_request = now;
  const bool can_save =
      saves_ && phase_ == Phase::kRunning && signals_.requests == 0 && signal != SIGQUIT;
  ++signals_.requests;
  if (!can_save) signals_.at_once = true;
  if (phase_ >= Phase::kTerminating) return;
  if (phase_ < Phase::kRunning) {
    // Nothing is there that could be saved, and mpirun may not be ready to pass signals on.
    kill(mpirun_, SIGTERM);
    return enter(Phase::kTerminating, kEndsWithin);
  }
  // mpirun passes it on. At a SIGTERM it would end the ranks within two seconds.
  kill(mpirun_, can_save ? SIGUSR1 : SIGUSR2);
  if (can_save) return say_stopping(signal);
  // The ranks end, and mpirun with them. A SIGTERM meanwhile could crash it.
  enter(Phase::kEnding, kEndsWithin);
}

// Ctrl-Z. The ranks do not miss each other meanwhile, because all of them stop.
void LaunchJob::suspend() const {
  kill(mpirun_, SIGTSTP);
  kill(getpid(), SIGSTOP);
  kill(mpirun_, SIGCONT);
}

// Collects what has ended. Returns whether there may be more.
bool LaunchJob::reap() {
  int status = 0;
  pid_t ended = 0;
  while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
    if (ended != mpirun_) continue;
    mpirun_ = -1;
    end_.killed = WIFSIGNALED(status) && !stuck_;
    end_.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  return ended == 0;
}

// Ranks may need a moment to end after mpirun. A rank that goes on would keep the run's lock.
void LaunchJob::end_others() {
  constexpr milliseconds kStep{10};
  const auto start = Clock::now();
  while (reap() && Clock::now() - start < seconds(10)) {
    std::this_thread::sleep_for(kStep);
    if (Clock::now() - start < seconds(2)) continue;
    std::ifstream children(fmt::format("/proc/self/task/{}/children", getpid()));
    for (pid_t child; children >> child;) kill(child, SIGKILL);
  }
}

}  // namespace ddpm::cli
