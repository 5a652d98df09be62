#include "apps/cli/launch_ranks.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <sstream>

namespace ddpm::cli {

LaunchedRanks::LaunchedRanks(std::vector<std::string> hosts) {
  for (std::string& host : hosts) ranks_.push_back({.host = std::move(host)});
}

void LaunchedRanks::take(const Mark& mark) {
  if (mark.rank >= count()) return;
  Rank& rank = ranks_[static_cast<size_t>(mark.rank)];
  switch (mark.kind) {
    case Mark::Kind::kStarted:
      rank.started = true;
      if (rank.host.empty()) rank.host = mark.text;
      break;
    case Mark::Kind::kJoined:
      rank.joined = true;
      break;
    case Mark::Kind::kSaved:
      saved_ = mark.text;
      break;
    case Mark::Kind::kLost: {
      // If a link is cut, the ranks on both of its sides call the others lost. The first are right.
      if (!told_lost_.empty()) return;
      std::istringstream numbers(mark.text);
      for (int number; numbers >> number;) {
        if (number >= 0 && number < count()) told_lost_.push_back(number);
      }
      break;
    }
    case Mark::Kind::kEnds:
      rank.told_end = true;
      some_failed_ = some_failed_ || mark.text == "failed";
      break;
  }
}

namespace {

std::vector<int> numbers_where(int count, const std::function<bool(int)>& wanted) {
  std::vector<int> numbers;
  for (int rank = 0; rank < count; ++rank) {
    if (wanted(rank)) numbers.push_back(rank);
  }
  return numbers;
}

}  // namespace

std::vector<int> LaunchedRanks::not_started() const {
  return numbers_where(count(),
                       [this](int rank) { return !ranks_[static_cast<size_t>(rank)].started; });
}

std::vector<int> LaunchedRanks::not_joined() const {
  return numbers_where(count(),
                       [this](int rank) { return !ranks_[static_cast<size_t>(rank)].joined; });
}

std::vector<int> LaunchedRanks::lost() const {
  return numbers_where(count(), [this](int rank) {
    const Rank& known = ranks_[static_cast<size_t>(rank)];
    return std::ranges::count(told_lost_, rank) > 0 || (known.started && !known.told_end);
  });
}

std::vector<std::string> LaunchedRanks::hosts_without(const std::vector<int>& ranks) const {
  std::vector<std::string> hosts;
  for (int rank = 0; rank < count(); ++rank) {
    if (std::ranges::count(ranks, rank) == 0) hosts.push_back(host(rank));
  }
  return hosts;
}

std::string LaunchedRanks::names(const std::vector<int>& ranks) const {
  constexpr size_t kMost = 8;
  const size_t named = std::min(ranks.size(), kMost);
  std::string text;
  for (size_t i = 0; i < named; ++i) {
    if (i > 0) text += i + 1 == ranks.size() ? " and " : ", ";
    const std::string& on = host(ranks[i]);
    text += fmt::format("rank {}", ranks[i]);
    if (!on.empty()) text += fmt::format(" (host {})", on);
  }
  if (named < ranks.size()) text += fmt::format(" and {} more", ranks.size() - named);
  return text;
}

std::string Restarts::refuse(int ranks, const std::string& saved) {
  if (ranks < min_ranks || ranks < 1)
    return fmt::format("{} rank{} left, fewer than --min-ranks {}", ranks,
                       ranks == 1 ? " is" : "s are", min_ranks);
  if (!saved.empty() && saved != saved_before) {
    used = 0;
    saved_before = saved;
  }
  if (used == most)
    return most == 0 ? "--restarts is 0"
                     : fmt::format(
                           "--restarts {} starts again without a new checkpoint are used up", most);
  ++used;
  return {};
}

}  // namespace ddpm::cli
