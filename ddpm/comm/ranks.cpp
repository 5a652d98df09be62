#include "ddpm/comm/ranks.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "ddpm/base/error.h"
#include "ddpm/comm/deadline.h"
#include "ddpm/comm/plugin_file.h"
#include "ddpm/comm/watch.h"

namespace ddpm {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

std::unique_ptr<Communicator> open_world(const MpiPlugin& plugin, const Launch& launch,
                                         const RanksOptions& options) {
  // MPI waits for all ranks here.
  const Deadline slow(seconds(30), [&] {
    options.report(
        fmt::format("rank {} has waited for 30 s for all {} ranks to start, and waits "
                    "on",
                    launch.rank, launch.size));
  });
  const Deadline last(minutes(10), [&] {
    options.report(
        fmt::format("rank {} has waited for 10 min, but not all of the {} ranks have "
                    "started: the job ends",
                    launch.rank, launch.size));
    _exit(1);
  });
  auto world = plugin.open(options.largest_call);
  if (world->size() != launch.size)
    fail("ranks",
         fmt::format("{} started {} ranks, but {}, which ddpm was built with, finds {}; start ddpm "
                     "with a launcher of {}, or build ddpm with the MPI of this launcher",
                     launch.launcher, launch.size, plugin.mpi, world->size(), plugin.mpi));
  return world;
}

}  // namespace

Ranks::Ranks(const RanksOptions& options)
    : launch_(read_launch(options.environment)), report_(options.report) {
  if (launch_.size == 1) {
    communicator_ = communicator_single();
    return;
  }
  const MpiPlugin& plugin = load_plugin(plugin_places(options.environment));
  world_ = open_world(plugin, launch_, options);
  close_ = plugin.close;
  join(options);
}

Ranks::Ranks(const RanksOptions& options, std::unique_ptr<Communicator> world,
             std::function<void()> close)
    : launch_{.launcher = "the caller", .rank = world->rank(), .size = world->size()},
      report_(options.report),
      close_(std::move(close)),
      world_(std::move(world)) {
  join(options);
}

// The watch first: it ends the job unless close() has ended it.
Ranks::~Ranks() { watch_.reset(); }

void Ranks::join(const RanksOptions& options) {
  watch_ = std::make_unique<Watch>(*world_, WatchOptions{.lost_after = options.lost_after,
                                                         .report = options.report,
                                                         .lost = options.lost});
  try {
    communicator_ = world_->duplicate();
    watch_->set_hosts(communicator_->hosts());
    compare_versions(options.version);
  } catch (const Error& error) {
    // The constructor's caller has no object to call fail() of.
    fail(error.what(), 1);
  }
}

void Ranks::compare_versions(const std::string& version) {
  constexpr size_t kLongest = 64;
  const size_t ranks = static_cast<size_t>(size());
  std::vector<char> versions(kLongest * ranks);
  char* own = &versions[kLongest * static_cast<size_t>(rank())];
  version.copy(own, kLongest - 1);
  const std::vector<size_t> sizes(ranks, kLongest);
  communicator_
      ->all_gather(std::as_bytes(std::span(own, kLongest)),
                   std::as_writable_bytes(std::span(versions)), sizes)
      ->wait();
  std::map<std::string, std::string> ranks_of;
  for (size_t r = 0; r < ranks; ++r) {
    std::string& names = ranks_of[&versions[r * kLongest]];
    names +=
        fmt::format("{}rank {} (host {})", names.empty() ? "" : ", ", r, communicator_->hosts()[r]);
  }
  if (ranks_of.size() == 1) return;
  std::string text = "[ranks] the ranks run different versions of ddpm: ";
  for (const auto& [other, names] : ranks_of) text += fmt::format("{}: {}; ", other, names);
  fail(text + "install the same version on all hosts", 1);
}

void Ranks::set_loss_note(const std::string& note) {
  if (watch_) watch_->set_loss_note(note);
}

void Ranks::close() {
  if (!watch_) return;
  const std::vector<size_t> sizes(static_cast<size_t>(size()), 1);
  std::vector<std::byte> all(sizes.size());
  const std::byte own{};
  communicator_->all_gather({&own, 1}, all, sizes)->wait();
  watch_->leave();
  const Deadline last(seconds(15), [this] {
    report_("the work is done, but MPI has not ended within 15 s; this process ends without it");
    _exit(1);
  });
  watch_.reset();
  communicator_.reset();
  world_.reset();
  if (close_) close_();
}

void Ranks::fail(std::string_view text, int status) {
  // abort() ends the process without this.
  std::fflush(nullptr);
  if (watch_) watch_->fail(text, status);
  report_(std::string(text));
  (communicator_ ? *communicator_ : *world_).abort(status);
  std::abort();  // Not reached. The compiler does not see that a virtual function never returns.
}

}  // namespace ddpm
