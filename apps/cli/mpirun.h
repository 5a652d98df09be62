// The command line of Open MPI's mpirun.
#pragma once

#include <string>
#include <vector>

#include "apps/cli/launch_hosts.h"

namespace ddpm::cli {

// Its path. Throws Error if there is none in PATH, or if it belongs to another MPI.
std::string find_mpirun();

// The words that start `command` as so many ranks. Without hosts mpirun chooses them: this machine,
// or the hosts that a batch system gives.
std::vector<std::string> mpirun_words(const std::string& mpirun, const Hosts& hosts, int ranks,
                                      const std::vector<std::string>& command);

}  // namespace ddpm::cli
