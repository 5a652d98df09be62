// What the environment says about the launcher that started this process, without any MPI.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace ddpm {

// The value of a variable of the environment, or null: std::getenv.
using Environment = std::function<const char*(const char* name)>;

inline constexpr const char* kOpenMpi = "mpirun of Open MPI";

struct Launch {
  // Who started it, such as "mpirun of Open MPI". Empty if nobody did: then this process is alone.
  std::string launcher;
  int rank = 0;
  int size = 1;
  // Among the ranks of this host, if the launcher says so.
  std::optional<int> local_rank, local_size;

  bool launched() const { return !launcher.empty(); }
  bool by_open_mpi() const { return launcher == kOpenMpi; }
};

// Understands mpirun of Open MPI, MPICH and Intel MPI, and srun with one of them. Throws UsageError
// under launchers that cannot start ranks, such as torchrun, with the line that can.
Launch read_launch(const Environment& environment);

}  // namespace ddpm
