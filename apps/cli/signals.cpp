#include "apps/cli/signals.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "apps/cli/command.h"
#include "ddpm/base/file.h"

namespace ddpm::cli {
namespace {

constexpr int kSignals[] = {SIGHUP,  SIGINT,    SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM,
                            SIGXCPU, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGXFSZ};

// Some senders (such as timeout) signal a process and then its group. Both count as one request.
constexpr int64_t kSameRequestMs = 200;

// True for a training, which a signal stops after it has saved. Other commands end at once.
std::atomic<bool> saves{false};
// True for a rank that ends with another one.
std::atomic<bool> ignores{false};
// True for a rank that leaves messages to another one.
std::atomic<bool> quiet{false};
std::atomic<bool> stop_requested{false};
// The time of the first signal that asks to stop at once if it comes again.
std::atomic<int64_t> asked_ms{-1};
// Who sends the signals.
enum class Sender { kUser, kMpirun, kLaunch };
std::atomic<Sender> sender{Sender::kUser};
// The line of take_signals_of_launcher(). Written before `sender`.
std::string_view line_at_end;
// The text of set_end_note(), in one of two places, so that a handler never reads one that changes.
std::array<std::array<char, 512>, 2> notes{};
std::atomic<const char*> note{notes[0].data()};
std::atomic<bool> on_terminal{false};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free,
              "signal handlers write them");

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

// The signal handler calls the functions below, so they take no lock and allocate nothing.
void say(std::string_view text) {
  pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (poll(&ready, 1, 0) == 1 && write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

void say_interrupted() { say(on_terminal ? "\nddpm: interrupted\n" : "ddpm: interrupted\n"); }

void say_ending() {
  say("ddpm: the job ends (SIGTERM)");
  if (saves) say("; saving if there is time (mpirun gives about a second)");
  if (*note != '\0') say("; ");
  say(note.load());
  say("\n");
}

// Printed at once, because a step may take long.
void say_what_follows(int signal) {
  // `ddpm launch` says it itself.
  if (sender == Sender::kLaunch) return;
  if (sender == Sender::kMpirun && signal == SIGTERM) return say_ending();
  say_stopping(signal);
}

// Ends the program by the signal's default action, after its handler has returned.
void end_by(int signal) {
  remove_own_temporaries();
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
  raise(signal);
}

// Whether this signal asks for the second time to stop.
bool asks_again(int signal) {
  const bool asks = signal == SIGINT || (signal == SIGTERM && sender != Sender::kLaunch);
  if (!asks) return false;
  int64_t first = -1;
  const int64_t now = now_ms();
  return !asked_ms.compare_exchange_strong(first, now) && now - first > kSameRequestMs;
}

void request_stop(int signal) {
  if (!stop_requested.exchange(true)) say_what_follows(signal);
  if (asks_again(signal)) end_by(signal);
}

void on_signal(int signal, siginfo_t* info, void*) {
  const int error = errno;
  // The kernel sends SIGXFSZ as if this process had sent it. The write that caused the signal fails
  // with EFBIG and is reported as any failed write.
  const bool file_limit = signal == SIGXFSZ && info->si_pid == getpid();
  if (signal == SIGTERM && sender == Sender::kLaunch) say(line_at_end);
  if (signal == SIGQUIT || (signal == SIGUSR2 && sender == Sender::kLaunch)) {
    end_by(signal);
  } else if (ignores || file_limit) {
    // Nothing changes. A rank that ignores signals ends with another one.
  } else if (saves) {
    request_stop(signal);
  } else {
    remove_own_temporaries();
    if (sender == Sender::kMpirun && signal == SIGTERM && !quiet)
      say_ending();
    else if (sender != Sender::kLaunch && !quiet)
      say_interrupted();
    _exit(kInterrupted);
  }
  errno = error;
}

}  // namespace

void end_on_signals() noexcept {
  on_terminal = isatty(STDERR_FILENO) == 1;
  for (const int signal : kSignals) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = static_cast<int>(SA_SIGINFO | SA_RESTART);
    sigaction(signal, &action, nullptr);
  }
}

const std::atomic<bool>& stop_on_signals() noexcept {
  saves = true;
  return stop_requested;
}

void leave_signals_to_others() noexcept { ignores = true; }

void take_signals_of_launcher(std::string_view line, bool is_quiet) noexcept {
  line_at_end = line;
  quiet = is_quiet;
  sender = line.empty() ? Sender::kMpirun : Sender::kLaunch;
}

void set_end_note(std::string_view text) noexcept {
  auto& place = note == notes[0].data() ? notes[1] : notes[0];
  const size_t length = std::min(text.size(), place.size() - 1);
  std::copy_n(text.begin(), length, place.begin());
  place[length] = '\0';
  note = place.data();
}

// A second Ctrl-C loses the step.
void say_stopping(int signal) noexcept {
  if (on_terminal) say("\n");
  say("ddpm: ");
  const char* name = sigabbrev_np(signal);
  if (signal == SIGINT) {
    say("Ctrl-C");
  } else if (name != nullptr) {
    say("SIG");
    say(name);
  }
  say(": stopping after this step and saving. Ctrl-C again stops at once, WITHOUT saving.\n");
}

}  // namespace ddpm::cli
