#include "apps/cli/job.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "apps/cli/host.h"
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

// How many ranks are on the host of this one. Not every launcher tells.
int ranks_here() {
  if (const std::optional<int> told = job().launch().local_size) return std::max(1, *told);
  const std::vector<std::string>& hosts = job().communicator().hosts();
  return static_cast<int>(std::ranges::count(hosts, hosts[static_cast<size_t>(job().rank())]));
}

// Open MPI binds each rank of a small job to a single core.
void warn_if_bound(int ranks) {
  if (!job().launch().by_open_mpi()) return;
  // This process runs on a part of what mpirun, which started it, may use.
  const int all = cores_of(getppid()), own = cores_of(0);
  if (own == 0 || 2 * own > all / ranks) return;
  say(
      fmt::format("warning: mpirun has bound each rank to {} of the {} cores here; mpirun "
                  "--bind-to none lets the ranks use all of them\n",
                  own, all));
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

bool is_first_rank() {
  try {
    return own_number() == 0;
  } catch (const Error&) {
    return true;
  }
}

void leave_error_to_rank_0() {
  // mpirun ends this process about two seconds after rank 0 has failed.
  if (!opened() && !is_first_rank()) std::this_thread::sleep_for(std::chrono::seconds(4));
}

void refuse_ranks(const char* command) {
  if (const int ranks = read_launch(environment).size; ranks > 1)
    fail_usage(command, fmt::format("{} runs as one process, but the launcher started {}; run it "
                                    "without mpirun or srun, or with -n 1",
                                    command, ranks));
}

void set_threads(int64_t threads) {
  const int here = ranks_here();
  if (job().rank() == 0) warn_if_bound(here);
  if (threads > 0) return set_num_threads(static_cast<int>(threads));
  if (here == 1 || std::getenv("OMP_NUM_THREADS") != nullptr) return;
  const auto share = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)) / here;
  // Some launchers bind each process to cores of its own.
  set_num_threads(std::max(1, std::min(num_threads(), share)));
}

}  // namespace ddpm::cli
