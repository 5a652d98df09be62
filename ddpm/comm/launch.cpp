#include "ddpm/comm/launch.h"

#include <fmt/core.h>

#include <charconv>
#include <string_view>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

std::optional<int> number(const Environment& environment, const char* name) {
  const char* value = environment(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  const std::string_view text = value;
  int result = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (error != std::errc() || end != text.data() + text.size() || result < 0)
    fail_usage("ranks", fmt::format("the launcher set {}={}; it must be a number", name, text));
  return result;
}

bool has(const Environment& environment, const char* name) { return environment(name) != nullptr; }

// The names of a launcher's variables. Those of the local ranks may be null.
struct Variables {
  const char* launcher;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};

std::optional<Launch> read(const Environment& environment, const Variables& names) {
  const std::optional<int> rank = number(environment, names.rank);
  const std::optional<int> size = number(environment, names.size);
  if (!rank || !size) return std::nullopt;
  if (*rank >= *size)
    fail_usage("ranks", fmt::format("the launcher set {}={} and {}={}; ranks are 0 to {} - 1",
                                    names.rank, *rank, names.size, *size, names.size));
  Launch launch{.launcher = names.launcher, .rank = *rank, .size = *size};
  if (names.local_rank != nullptr) launch.local_rank = number(environment, names.local_rank);
  if (names.local_size != nullptr) launch.local_size = number(environment, names.local_size);
  return launch;
}

void refuse_torchrun(const Environment& environment) {
  const bool by_torchrun = has(environment, "TORCHELASTIC_RUN_ID") ||
                           (has(environment, "RANK") && has(environment, "WORLD_SIZE") &&
                            has(environment, "LOCAL_RANK") && has(environment, "MASTER_ADDR"));
  if (!by_torchrun) return;
  const char* size = environment("WORLD_SIZE");
  fail_usage("ranks",
             fmt::format("ranks are started by mpirun, not by torchrun; use: mpirun -n {} ddpm ... "
                         "(with --host or --hostfile for several machines)",
                         size == nullptr || *size == '\0' ? "RANKS" : size));
}

// A process of a job step of several tasks. Login shells and batch scripts belong to no step of
// several tasks, whatever the size of the allocation is.
void refuse_srun_alone(const Environment& environment) {
  const std::optional<int> tasks = number(environment, "SLURM_STEP_NUM_TASKS");
  if (!has(environment, "SLURM_PROCID") || tasks.value_or(1) < 2) return;
  fail_usage("ranks", fmt::format("srun started {} tasks without MPI, so each would be alone; use: "
                                  "srun --mpi=pmix -n {} ddpm ... (srun --mpi=list shows what this "
                                  "Slurm offers), or mpirun inside of salloc or sbatch",
                                  *tasks, *tasks));
}

}  // namespace

Launch read_launch(const Environment& environment) {
  static constexpr Variables kLaunchers[] = {
      {kOpenMpi, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
       "OMPI_COMM_WORLD_LOCAL_SIZE"},
      {"srun with PMIx", "PMIX_RANK", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", nullptr},
      {"srun with PMIx", "PMIX_RANK", "SLURM_NTASKS", "SLURM_LOCALID", nullptr},
      {"a launcher with PMI, such as mpirun of MPICH", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID",
       "MPI_LOCALNRANKS"},
  };
  for (const Variables& names : kLaunchers) {
    if (const std::optional<Launch> launch = read(environment, names)) return *launch;
  }
  refuse_torchrun(environment);
  refuse_srun_alone(environment);
  return {};
}

}  // namespace ddpm
