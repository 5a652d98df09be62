#include "ddpm/comm/mpi_plugin.h"

#include <fmt/core.h>
#include <mpi.h>

#include "ddpm/base/error.h"
#include "ddpm/base/version.h"
#include "ddpm/comm/mpi/mpi_communicator.h"
#include "ddpm/comm/mpi/mpi_operation.h"

namespace ddpm {
namespace {

// "Open MPI v4.1.4, package: ..." becomes "Open MPI v4.1.4".
std::string name_of_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string name = text;
  return name.substr(0, name.find_first_of(",\n"));
}

std::unique_ptr<Communicator> open(size_t largest) {
  int level = MPI_THREAD_SINGLE;
  check_mpi("MPI_Init_thread", MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level));
  if (level < MPI_THREAD_MULTIPLE)
    fail("ranks", fmt::format("{} does not let several threads communicate (it offers level {}, "
                              "MPI_THREAD_MULTIPLE is {}); use an MPI built with it",
                              name_of_library(), level, static_cast<int>(MPI_THREAD_MULTIPLE)));
  return std::make_unique<MpiCommunicator>(MPI_COMM_WORLD, largest, std::vector<std::string>());
}

void close() { check_mpi("MPI_Finalize", MPI_Finalize()); }

}  // namespace
}  // namespace ddpm

extern "C" __attribute__((visibility("default"))) const ddpm::MpiPlugin* ddpm_mpi_plugin() {
  static const std::string mpi = ddpm::name_of_library();
  static const ddpm::MpiPlugin plugin = {.interface = ddpm::kMpiPluginInterface,
                                         .version = ddpm::version(),
                                         .mpi = mpi.c_str(),
                                         .open = ddpm::open,
                                         .close = ddpm::close};
  return &plugin;
}
