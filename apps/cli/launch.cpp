// ddpm launch: starts a command on several ranks with mpirun, and a training again when ranks were
// lost.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <thread>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/host.h"
#include "apps/cli/launch_hosts.h"
#include "apps/cli/launch_job.h"
#include "apps/cli/launch_ranks.h"
#include "apps/cli/mpirun.h"
#include "apps/cli/output.h"
#include "ddpm/base/duration.h"
#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/comm/launch.h"
#include "ddpm/comm/plugin_file.h"

namespace ddpm::cli {
namespace {

using std::chrono::milliseconds;

struct LaunchRequest {
  int64_t ranks = 0;
  std::string hosts, hostfile;
  int64_t min_ranks = 1;
  int64_t restarts = 3;
  std::string start_timeout = "1m";
  std::vector<std::string> command;
};

constexpr const char* kTrain = "train";

const char* environment(const char* name) { return std::getenv(name); }

int cores_here() {
  if (const int cores = cores_of(0); cores > 0) return cores;
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

// A batch system gives mpirun its hosts.
bool in_allocation() {
  for (const char* name : {"SLURM_JOB_ID", "PBS_NODEFILE", "LSB_DJOB_HOSTFILE", "PE_HOSTFILE"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

std::string unique_text() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

class Launcher {
 public:
  explicit Launcher(const LaunchRequest& request);
  int run();

 private:
  void check() const;
  void choose_hosts();
  LaunchedRanks start(LaunchEnd& end);
  bool lost(const LaunchedRanks& ranks, const LaunchEnd& end);
  bool starts_without(const LaunchedRanks& ranks, const std::vector<int>& lost);
  void go_on(const LaunchedRanks& ranks, const std::vector<int>& lost);
  std::string save_note(const LaunchedRanks& ranks) const;
  static void say_end(const std::string& text);

  const LaunchRequest& request_;
  const milliseconds start_timeout_;
  std::string mpirun_;
  // Without hosts mpirun chooses them.
  Hosts hosts_;
  int ranks_ = 0;
  std::vector<std::string> words_;
  Restarts restarts_;
  int starts_ = 0;
  LaunchSignals signals_;
};

Launcher::Launcher(const LaunchRequest& request)
    : request_(request),
      start_timeout_(static_cast<int64_t>(
          1000 * parse_duration(request.start_timeout, "launch", "--start-timeout"))),
      words_(request.command),
      restarts_{.min_ranks = static_cast<int>(request.min_ranks),
                .most = static_cast<int>(request.restarts)} {
  check();
  choose_hosts();
  mpirun_ = find_mpirun();
  // Its errors are told once here, instead of by each rank.
  load_plugin(plugin_places(environment));
  words_.insert(words_.begin(), std::filesystem::read_symlink("/proc/self/exe").string());
}

void Launcher::check() const {
  const auto check_range = [](const char* flag, int64_t value, int64_t least) {
    constexpr int64_t kMost = 1'000'000;
    if (value < least || value > kMost)
      fail_usage("launch", fmt::format("{} is {}; it is {} to {}", flag, value, least, kMost));
  };
  check_range("--ranks", request_.ranks, 0);
  check_range("--min-ranks", request_.min_ranks, 1);
  check_range("--restarts", request_.restarts, 0);
  if (!request_.hosts.empty() && !request_.hostfile.empty())
    fail_usage("launch", "--hosts and --hostfile both name hosts; leave one of them out");
  if (const Launch above = read_launch(environment); above.launched())
    fail_usage("launch", fmt::format("ddpm launch was started by {}, but starts the ranks itself; "
                                     "leave one of them out",
                                     above.launcher));
}

void Launcher::choose_hosts() {
  Hosts given;
  if (!request_.hosts.empty()) given = parse_hosts(request_.hosts);
  if (!request_.hostfile.empty()) given = read_hostfile(request_.hostfile);
  ranks_ = static_cast<int>(request_.ranks);
  if (ranks_ == 0 && !given.empty()) ranks_ = count_ranks(given);
  if (ranks_ == 0 && in_allocation())
    fail_usage("launch",
               "a batch system gives the hosts here; say with -n how many ranks to start");
  if (ranks_ == 0) ranks_ = cores_here();
  constexpr int kMostOfCore = 16;
  if (given.empty() && !in_allocation() && ranks_ > kMostOfCore * cores_here())
    fail_usage("launch",
               fmt::format("-n {} is more than {} ranks for each of the {} core{} of this machine; "
                           "use -n {}, or name hosts with --hosts",
                           ranks_, kMostOfCore, cores_here(), plural(cores_here()), cores_here()));
  if (!given.empty()) hosts_ = place_ranks(given, ranks_);
  if (ranks_ < request_.min_ranks)
    fail_usage("launch", fmt::format("--min-ranks {} is more than the {} rank{} to start",
                                     request_.min_ranks, ranks_, plural(ranks_)));
}

LaunchedRanks Launcher::start(LaunchEnd& end) {
  const std::string unknown = in_allocation() ? "" : own_host();
  LaunchedRanks ranks(hosts_.empty() ? std::vector(static_cast<size_t>(ranks_), unknown)
                                     : host_of_each(hosts_));
  const std::string text = unique_text();
  setenv(kMarkVariable, text.c_str(), 1);
  ++starts_;
  end = LaunchJob(mpirun_words(mpirun_, hosts_, ranks_, words_), text, start_timeout_, ranks,
                  signals_, request_.command.front() == kTrain)
            .run();
  return ranks;
}

std::string Launcher::save_note(const LaunchedRanks& ranks) const {
  const std::string& saved = ranks.saved().empty() ? restarts_.saved_before : ranks.saved();
  return saved.empty() ? "nothing was saved yet" : "the last checkpoint is good: " + saved;
}

void Launcher::say_end(const std::string& text) {
  say(fmt::format("ddpm: [launch] {}\n", printable(text)));
}

int Launcher::run() {
  for (;;) {
    LaunchEnd end;
    const LaunchedRanks ranks = start(end);
    if (signals_.at_once) {
      say("ddpm: interrupted\n");
      return kInterrupted;
    }
    const bool ended_itself = end.status == 0 || end.status == 2 || end.status == kInterrupted;
    if (ended_itself && !end.incomplete) return end.status;
    if (!lost(ranks, end)) return 1;
  }
}

// After an end that was not good. Returns whether to start again.
bool Launcher::lost(const LaunchedRanks& ranks, const LaunchEnd& end) {
  // If the link to a rank is cut, mpirun hangs, and the ranks that are left end it.
  if (end.killed && !end.incomplete && !ranks.some_lost()) {
    say_end(fmt::format("mpirun was ended by signal {}; {}", end.status - 128, save_note(ranks)));
    return false;
  }
  const std::vector<int> missing = ranks.not_started();
  if (!missing.empty() && !end.incomplete) say_end(ranks.names(missing) + " did not start");
  // Those that had started once, but no longer do, are lost.
  const std::vector<int> lost = missing.empty() ? ranks.lost() : missing;
  // They would not connect in another start either.
  if (missing.empty() && ranks.never_connected()) return false;
  if (end.incomplete || !missing.empty()) {
    if (missing.empty() || starts_ == 1) return false;
  } else if (lost.empty()) {
    // If a rank failed, it has said why.
    if (!ranks.some_failed())
      say_end(fmt::format("mpirun ended the job with status {}; {}", end.status, save_note(ranks)));
    return false;
  }
  return starts_without(ranks, lost);
}

bool Launcher::starts_without(const LaunchedRanks& ranks, const std::vector<int>& lost) {
  const std::string were =
      fmt::format("{} {} lost", ranks.names(lost), lost.size() == 1 ? "was" : "were");
  if (request_.command.front() != kTrain) {
    say_end(were);
    return false;
  }
  const int left = ranks.count() - static_cast<int>(lost.size());
  const std::string note = save_note(ranks);
  const std::string refused = signals_.requests > 0 ? "stopped by a signal before it could save"
                                                    : restarts_.refuse(left, ranks.saved());
  say_end(fmt::format("{}; {}; {}", were, note,
                      refused.empty()
                          ? fmt::format("starting again on {} rank{} (restart {} of {})", left,
                                        plural(left), restarts_.used, restarts_.most)
                          : refused));
  if (refused.empty()) go_on(ranks, lost);
  return refused.empty();
}

// Prepares the next start.
void Launcher::go_on(const LaunchedRanks& ranks, const std::vector<int>& lost) {
  ranks_ = ranks.count() - static_cast<int>(lost.size());
  if (!hosts_.empty() || in_allocation()) hosts_ = group_by_host(ranks.hosts_without(lost));
  // A rank 0 on a host that was cut off may still hold the run for as long as it takes to notice.
  if (!hosts_.empty() && lost.front() == 0 && ranks.host(0) != own_host())
    signals_.wait(std::chrono::seconds(30));
  const auto has = [this](const char* word) { return std::ranges::count(words_, word) > 0; };
  if (!has("--resume") && !has("--resume-or-start")) words_.emplace_back("--resume-or-start");
}

}  // namespace

Action launch_command(Flags& flags) {
  const auto request = std::make_shared<LaunchRequest>();
  flags.rest("COMMAND ...", request->command, "train, sample, eval or tune, with its flags");
  flags.group("The ranks");
  flags.add("ranks", request->ranks,
            "how many processes to start, also -n; 0: as many as --hosts or --hostfile have room "
            "for, or one for each core of this machine");
  flags.short_name("-n");
  flags.short_name("-np");
  flags.add("hosts", request->hosts,
            "hosts with their numbers of ranks; a host without a number has one rank, which uses "
            "all of its cores",
            "a:4,b:4");
  flags.add("hostfile", request->hostfile, "a host file of Open MPI, with lines such as a slots=4",
            "FILE");
  flags.add("start-timeout", request->start_timeout,
            "end with the names of the ranks that did not start, or did not connect to the others, "
            "for so long",
            "TIME");
  flags.group("When ranks are lost");
  flags.add("min-ranks", request->min_ranks, "a training goes on with as few ranks as this");
  flags.add("restarts", request->restarts,
            "how often in a row a training may start again without a new checkpoint");
  flags.list("Signals", {{"Ctrl-C, SIGTERM, ...",
                          "a training finishes its step, saves, and ends with status 130; a second "
                          "one ends all ranks at once, and so does the first one of other "
                          "commands"}});

  return [request] {
    const std::string& name = request->command.front();
    const Command& command = find_command(name);
    if (!command.uses_ranks)
      fail_usage("launch", fmt::format("{} does not use ranks; run it without ddpm launch: ddpm {}",
                                       name, fmt::join(request->command, " ")));
    // Its errors and its help are shown once here, instead of by each rank.
    Flags of_command(command.name, command.summary, command.examples);
    const Action unused = command.declare(of_command);
    if (!of_command.parse({request->command.begin() + 1, request->command.end()})) {
      print(of_command.help());
      return 0;
    }
    return Launcher(*request).run();
  };
}

}  // namespace ddpm::cli
