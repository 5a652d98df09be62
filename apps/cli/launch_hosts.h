// The hosts of `ddpm launch`, and which ranks are on which.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ddpm::cli {

struct HostRanks {
  std::string name;
  // The number of ranks, at least 1.
  int ranks = 1;
  bool operator==(const HostRanks&) const = default;
};
using Hosts = std::vector<HostRanks>;

// "a:4,b:4". A host without a number has one rank. Throws UsageError.
Hosts parse_hosts(std::string_view text);
// A host file of Open MPI: lines such as "a slots=4", and comments after #.
Hosts read_hostfile(const std::string& path);

int count_ranks(const Hosts& hosts);

// The hosts for this number of ranks: the first hosts are filled first. What is more than they have
// room for is spread over all.
Hosts place_ranks(const Hosts& hosts, int ranks);

// The host of each rank: the first ones are on the first host.
std::vector<std::string> host_of_each(const Hosts& hosts);

// The hosts of these ranks, in their order.
Hosts group_by_host(const std::vector<std::string>& host_of_each);

// "a:4,b:4"
std::string to_text(const Hosts& hosts);

}  // namespace ddpm::cli
