// Finds and loads the plugin that knows MPI.
#pragma once

#include <string>
#include <vector>

#include "ddpm/comm/launch.h"
#include "ddpm/comm/mpi_plugin.h"

namespace ddpm {

// Where the plugin may be: the file that DDPM_MPI_PLUGIN names or, without it, beside the program
// and where `cmake --install` puts it.
std::vector<std::string> plugin_places(const Environment& environment);

// Loads the plugin once for the whole process, MPI's libraries included. Throws Error if it is in
// none of the places, cannot be loaded or belongs to another version of ddpm.
const MpiPlugin& load_plugin(const std::vector<std::string>& places);

}  // namespace ddpm
