#include "apps/cli/job.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>

#include "apps/cli/output.h"
#include "apps/cli/signals.h"
#include "ddpm/base/duration.h"
#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/base/threads.h"
#include "ddpm/base/version.h"

namespace ddpm::cli {
namespace {

std::unique_ptr<Ranks>& opened() {
  static std::unique_ptr<Ranks> ranks;
  return ranks;
}

const char* environment(const char* name) { return std::getenv(name); }

// The number of this rank, as the launcher says.
int own_number() {
  static const int number = read_launch(environment).rank;
  return number;
}

std::string own_host() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

// The line for a signal handler. Empty if `ddpm launch` did not start this process.
const std::string& line_at_end() {
  static const std::string line = [] {
    const char* start = std::getenv(kMarkVariable);
    if (start == nullptr) return std::string();
    return to_line(start, {Mark::Kind::kEnds, own_number(), ""});
  }();
  return line;
}

RanksOptions ranks_options() {
  RanksOptions options;
  options.report = [](const std::string& line) {
    // Before that, a line may tell of something else than the end.
    if (opened()) tell_launch(Mark::Kind::kEnds, "failed");
    say(fmt::format("ddpm: {}\n", printable(line)));
  };
  options.lost = [](const std::vector<int>& ranks) {
    tell_launch(Mark::Kind::kLost, fmt::format("{}", fmt::join(ranks, " ")));
  };
  options.environment = environment;
  if (const char* time = std::getenv("DDPM_LOST_AFTER"))
    options.lost_after = std::chrono::milliseconds(
        static_cast<int64_t>(1000 * parse_duration(time, "ranks", "DDPM_LOST_AFTER")));
  options.version = version();
  return options;
}

}  // namespace

void take_signals_of_job() {
  try {
    if (read_launch(environment).launched())
      take_signals_of_launcher(line_at_end(), own_number() > 0);
  } catch (const Error&) {
    // Commands that need the launcher's variables report what is wrong with them.
  }
}

Ranks& job() {
  std::unique_ptr<Ranks>& ranks = opened();
  if (!ranks) {
    if (read_launch(environment).launched()) tell_launch(Mark::Kind::kStarted, own_host());
    ranks = std::make_unique<Ranks>(ranks_options());
    tell_launch(Mark::Kind::kJoined, "");
  }
  return *ranks;
}

void close_job() {
  if (!opened()) return;
  tell_launch(Mark::Kind::kEnds, "");
  opened()->close();
  opened().reset();
}

void fail_job(std::string_view error, int status) {
  tell_launch(Mark::Kind::kEnds, "failed");
  if (opened() && !opened()->alone()) opened()->fail(error, status);
}

void tell_launch(Mark::Kind kind, const std::string& text) {
  const char* start = std::getenv(kMarkVariable);
  if (start != nullptr) say_raw(to_line(start, {kind, own_number(), text}));
}

void set_save_note(const std::string& note) {
  job().set_loss_note(note);
  set_end_note(note);
}

void set_threads(int64_t threads) {
  if (threads > 0) return set_num_threads(static_cast<int>(threads));
  const int here = job().launch().local_size.value_or(1);
  if (here == 1 || std::getenv("OMP_NUM_THREADS") != nullptr) return;
  const auto share = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)) / here;
  // Some launchers bind each process to cores of its own.
  set_num_threads(std::max(1, std::min(num_threads(), share)));
}

}  // namespace ddpm::cli
