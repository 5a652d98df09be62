// What the program finds in the plugin libddpm_mpi.so. Nothing of MPI is in this header, so the
// program does without MPI.
#pragma once

#include <cstddef>

#include "ddpm/comm/communicator.h"

namespace ddpm {

// Raised when this file or communicator.h changes in a way that old plugins do not know.
inline constexpr int kMpiPluginInterface = 2;

struct MpiPlugin {
  // The program checks these first. Both must be its own.
  int interface;
  const char* version;
  // The library that the plugin was built with, such as "Open MPI 4.1.4".
  const char* mpi;

  // Initialises MPI and returns all ranks of the job. Its hosts are unknown until duplicate() was
  // called once. Meanwhile another thread may send and receive with it. MPI moves at most `largest`
  // bytes in one call. Throws Error.
  std::unique_ptr<Communicator> (*open)(size_t largest);
  // Ends MPI. Waits for all ranks, and no communicator may be left. Throws Error.
  void (*close)();
};

// The one symbol that the plugin exports: const MpiPlugin* ddpm_mpi_plugin().
inline constexpr const char* kMpiPluginSymbol = "ddpm_mpi_plugin";
using MpiPluginEntry = const MpiPlugin* (*)();

}  // namespace ddpm
