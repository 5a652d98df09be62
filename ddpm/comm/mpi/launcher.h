// The launcher above this rank.
#pragma once

namespace ddpm {

// Open MPI's mpirun and its helper on other hosts (orted) wait for ever for each other when the
// link between their hosts is cut, even though all ranks have ended. If the launcher still runs
// some seconds from now, it is ended. Call it just before this process ends. Other launchers are
// left alone.
void end_launcher_if_stuck();

}  // namespace ddpm
