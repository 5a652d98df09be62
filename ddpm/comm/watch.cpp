#include "ddpm/comm/watch.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

// A text as other ranks receive it.
std::string as_sent(std::string_view text) {
  return WatchMessage(WatchMessage::kFailed, 0, 0, text).text();
}

}  // namespace

Watch::Watch(Communicator& communicator, WatchOptions options)
    : communicator_(communicator),
      options_(std::move(options)),
      interval_(options_.lost_after / 15),
      last_step_(Clock::now()),
      hosts_(static_cast<size_t>(communicator.size())) {
  for (const int rank : watch_neighbours(communicator.rank(), communicator.size())) {
    neighbours_.emplace_back().rank = rank;
  }
  thread_ = std::thread([this] { run(); });
}

Watch::~Watch() {
  if (!thread_.joinable()) return;
  try {
    fail("this rank ended before its work was done", 1);
  } catch (const Error&) {
    // The ranks are threads, and the others know.
  }
}

void Watch::set_hosts(std::vector<std::string> hosts) {
  const std::scoped_lock lock(mutex_);
  hosts_ = std::move(hosts);
}

void Watch::set_loss_note(std::string note) {
  const std::scoped_lock lock(mutex_);
  loss_note_ = std::move(note);
}

void Watch::leave() {
  {
    const std::scoped_lock lock(mutex_);
    leaving_ = woken_ = true;
  }
  changed_.notify_all();
  thread_.join();
  if (news_) ddpm::fail("ranks", line());
}

void Watch::fail(std::string_view text, int status) {
  {
    const std::scoped_lock lock(mutex_);
    failure_ = text;
    failure_status_ = status;
    woken_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  communicator_.abort(status);
  std::abort();  // Not reached. The compiler does not see that a virtual function never returns.
}

void Watch::run() {
  try {
    for (Neighbour& neighbour : neighbours_) {
      neighbour.told = -interval_;
      neighbour.receiving = communicator_.receive(neighbour.received.bytes(), neighbour.rank, 0);
    }
    while (step()) pause();
  } catch (const Error& error) {
    // The connection broke, or another rank of a thread group has ended the job.
    if (!news_) news_ = WatchMessage(WatchMessage::kLost, communicator_.rank(), 1, error.what());
  }
  if (!news_) return;
  try {
    end_job();
  } catch (const Error&) {
    // The ranks are threads, and abort() tells them by exceptions.
  }
}

void Watch::pause() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, interval_ / 10, [&] { return woken_; });
  woken_ = false;
}

// False when the watch is over.
bool Watch::step() {
  pass_time();
  for (Neighbour& neighbour : neighbours_) listen(neighbour);
  adopt_own_failure();
  if (!news_) look_for_losses();
  for (Neighbour& neighbour : neighbours_) tell(neighbour);
  return !news_ && !all_left();
}

// Takes the failure of this rank for the reason of the end, unless there is another reason already.
// If another rank has failed for the same reason, the others must hear that this one has, too.
void Watch::adopt_own_failure() {
  const int rank = communicator_.rank();
  const std::scoped_lock lock(mutex_);
  if (!failure_) return;
  const WatchMessage own(WatchMessage::kFailed, rank, failure_status_, *failure_);
  const bool same =
      news_ && news_->kind == own.kind && news_->rank != rank && news_->text() == own.text();
  if (news_ && !same) return;
  news_ = own;
  for (Neighbour& neighbour : neighbours_) neighbour.told_last = false;
}

void Watch::pass_time() {
  const auto now = Clock::now();
  time_ += std::min<Clock::duration>(now - last_step_, 2 * interval_);
  last_step_ = now;
}

void Watch::listen(Neighbour& neighbour) {
  while (neighbour.receiving && neighbour.receiving->test()) take(neighbour);
}

void Watch::take(Neighbour& neighbour) {
  const WatchMessage message = neighbour.received;
  neighbour.receiving.reset();
  neighbour.heard = time_;
  neighbour.heard_of = true;
  if (message.kind == WatchMessage::kLeaves) {
    neighbour.has_left = true;
    return;
  }
  if (message.kind == WatchMessage::kLost || message.kind == WatchMessage::kFailed) {
    if (message.rank != communicator_.rank()) told_by_others_.push_back(message.text());
    if (!news_) news_ = message;
  }
  neighbour.receiving = communicator_.receive(neighbour.received.bytes(), neighbour.rank, 0);
}

bool Watch::has_sent(Neighbour& neighbour) {
  if (neighbour.sending && !neighbour.sending->test()) return false;
  neighbour.sending.reset();
  return true;
}

void Watch::send(Neighbour& neighbour, const WatchMessage& message) {
  neighbour.sent = message;
  neighbour.told = time_;
  neighbour.sending = communicator_.send(neighbour.sent.bytes(), neighbour.rank, 0);
}

void Watch::tell(Neighbour& neighbour) {
  if (neighbour.told_last || !has_sent(neighbour)) return;
  const bool leaving = [&] {
    const std::scoped_lock lock(mutex_);
    return leaving_;
  }();
  if (news_ || leaving) {
    neighbour.told_last = true;
    send(neighbour, news_ ? *news_ : WatchMessage(WatchMessage::kLeaves, 0, 0, {}));
  } else if (time_ - neighbour.told >= interval_) {
    send(neighbour, {});
  }
}

bool Watch::all_left() {
  return std::ranges::all_of(neighbours_, [&](Neighbour& neighbour) {
    return neighbour.has_left && neighbour.told_last && has_sent(neighbour);
  });
}

void Watch::look_for_losses() {
  const auto silence = [&](const Neighbour& neighbour) {
    if (neighbour.has_left) return Clock::duration{};
    return neighbour.heard_of ? time_ - neighbour.heard : (time_ - neighbour.heard) * 2 / 3;
  };
  if (std::ranges::none_of(neighbours_, [&](const Neighbour& neighbour) {
        return silence(neighbour) > options_.lost_after;
      }))
    return;
  // Ranks that were lost together are named together.
  constexpr size_t kMostNames = 8;
  std::string names;
  std::vector<int> lost_ranks;
  bool heard_of = true;
  const std::scoped_lock lock(mutex_);
  for (const Neighbour& neighbour : neighbours_) {
    if (silence(neighbour) < options_.lost_after - 2 * interval_) continue;
    lost_ranks.push_back(neighbour.rank);
    if (lost_ranks.size() <= kMostNames)
      names += (lost_ranks.size() > 1 ? ", " : "") + name(neighbour.rank);
    heard_of = heard_of && neighbour.heard_of;
  }
  const size_t lost = lost_ranks.size();
  if (options_.lost) options_.lost(lost_ranks);
  if (lost > kMostNames) names += fmt::format(" and {} more", lost - kMostNames);
  const double seconds = std::chrono::duration<double>(options_.lost_after).count();
  std::string text = fmt::format("{} {} not answered for {:g} s: the job ends", names,
                                 lost == 1 ? "has" : "have", heard_of ? seconds : 1.5 * seconds);
  if (!heard_of)
    text = fmt::format(
        "{} {} never answered in the first {:g} s; does a firewall keep the hosts "
        "from opening TCP connections to each other? The job ends",
        names, lost == 1 ? "has" : "have", 1.5 * seconds);
  if (!loss_note_.empty()) text += "; " + loss_note_;
  news_ = WatchMessage(WatchMessage::kLost, communicator_.rank(), 1, text);
}

// With the lock.
std::string Watch::name(int rank) const {
  const std::string& host = hosts_[static_cast<size_t>(rank)];
  return host.empty() ? fmt::format("rank {}", rank) : fmt::format("rank {} (host {})", rank, host);
}

std::string Watch::line() {
  const std::scoped_lock lock(mutex_);
  if (news_->kind != WatchMessage::kFailed) return news_->text();
  if (failure_ && as_sent(*failure_) == news_->text()) return *failure_;
  // It names the rank that is to blame.
  if (news_->text().starts_with("rank ")) return news_->text();
  const bool known = news_->rank >= 0 && news_->rank < communicator_.size();
  return fmt::format("{} failed: {}", name(known ? news_->rank : 0), news_->text());
}

bool Watch::others_report_it() {
  const std::scoped_lock lock(mutex_);
  if (communicator_.rank() == 0 || !failure_) return false;
  return std::ranges::count(told_by_others_, as_sent(*failure_)) > 0;
}

void Watch::end_job() {
  const auto start = Clock::now();
  // Others need this time to report it, too. The ranks do not all abort the job at once, because
  // one is enough.
  const auto end = interval_ + interval_ * std::min(communicator_.rank(), 3) / 2;
  // If another rank failed, this one may fail soon for the same reason.
  const auto report_after = interval_ * 3 / 10;
  bool reported = false;
  for (auto waited = Clock::duration{}; waited < end; waited = Clock::now() - start) {
    adopt_own_failure();
    const bool own = news_->rank == communicator_.rank();
    const bool at_once = news_->kind == WatchMessage::kLost || (own && communicator_.rank() == 0);
    if (!reported && (at_once || waited > report_after)) {
      reported = true;
      if (!others_report_it()) options_.report(line());
    }
    for (Neighbour& neighbour : neighbours_) {
      try {
        listen(neighbour);
        tell(neighbour);
      } catch (const Error&) {
        // One that cannot be told finds out itself.
      }
    }
    std::this_thread::sleep_for(interval_ / 50);
  }
  communicator_.abort(news_->status);
}

}  // namespace ddpm
