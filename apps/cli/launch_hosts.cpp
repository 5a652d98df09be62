#include "apps/cli/launch_hosts.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <sstream>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"

namespace ddpm::cli {
namespace {

constexpr int kMostRanks = 1'000'000;

int parse_count(std::string_view text, std::string_view whole, std::string_view where) {
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool read = error == std::errc() && end == text.data() + text.size();
  if (!read || count < 1 || count > kMostRanks)
    fail_usage("launch", fmt::format("{} has '{}'; the number of ranks of a host is 1 or more, "
                                     "such as a:4",
                                     where, whole));
  return count;
}

// mpirun would take such words for something else.
void check_name(std::string_view name, std::string_view where) {
  const bool good = !name.empty() && name.front() != '-' &&
                    name.find_first_of(" \t,:=@") == std::string_view::npos;
  if (!good)
    fail_usage("launch", fmt::format("{} has the host '{}'; hosts are names or IPv4 addresses, "
                                     "such as a:4,b:4",
                                     where, name));
}

}  // namespace

Hosts parse_hosts(std::string_view text) {
  Hosts hosts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    const size_t colon = std::min(word.find(':'), word.size());
    check_name(word.substr(0, colon), "--hosts");
    const int ranks =
        colon == word.size() ? 1 : parse_count(word.substr(colon + 1), word, "--hosts");
    hosts.push_back({std::string(word.substr(0, colon)), ranks});
    begin = end + 1;
  }
  return hosts;
}

Hosts read_hostfile(const std::string& path) {
  Hosts hosts;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string name;
    if (!(words >> name)) continue;
    check_name(name, path);
    HostRanks host{name, 1};
    constexpr std::string_view kSlots = "slots=";
    for (std::string word; words >> word;) {
      if (word.starts_with(kSlots))
        host.ranks = parse_count(std::string_view(word).substr(kSlots.size()), word, path);
    }
    hosts.push_back(host);
  }
  if (hosts.empty())
    fail_usage("launch", fmt::format("{} names no host; it needs lines such as: a slots=4", path));
  return hosts;
}

int count_ranks(const Hosts& hosts) {
  return std::accumulate(hosts.begin(), hosts.end(), 0,
                         [](int sum, const HostRanks& host) { return sum + host.ranks; });
}

Hosts place_ranks(const Hosts& hosts, int ranks) {
  Hosts placed;
  int left = ranks;
  for (const HostRanks& host : hosts) {
    if (left == 0) break;
    placed.push_back({host.name, std::min(host.ranks, left)});
    left -= placed.back().ranks;
  }
  const int each = left / static_cast<int>(hosts.size());
  const int more = left % static_cast<int>(hosts.size());
  for (int h = 0; left > 0 && h < static_cast<int>(hosts.size()); ++h) {
    placed[static_cast<size_t>(h)].ranks += each + (h < more ? 1 : 0);
  }
  return placed;
}

std::vector<std::string> host_of_each(const Hosts& hosts) {
  std::vector<std::string> names;
  for (const HostRanks& host : hosts) {
    names.insert(names.end(), static_cast<size_t>(host.ranks), host.name);
  }
  return names;
}

Hosts group_by_host(const std::vector<std::string>& host_of_each) {
  Hosts hosts;
  for (const std::string& name : host_of_each) {
    const auto known = std::ranges::find(hosts, name, &HostRanks::name);
    if (known == hosts.end())
      hosts.push_back({name, 1});
    else
      ++known->ranks;
  }
  return hosts;
}

std::string to_text(const Hosts& hosts) {
  std::string text;
  for (const HostRanks& host : hosts) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", host.name, host.ranks);
  }
  return text;
}

}  // namespace ddpm::cli
