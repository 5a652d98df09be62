#include "ddpm/comm/launch.h"

#include <gmock/gmock.h>

#include <map>

#include "ddpm/base/error.h"
#include "ddpm/comm/plugin_file.h"

namespace ddpm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

using Variables = std::map<std::string, std::string>;

Environment environment(Variables variables) {
  return [variables = std::move(variables)](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

Launch launch_with(Variables variables) { return read_launch(environment(std::move(variables))); }

TEST(Launch, NobodyLaunched) {
  const Launch launch = launch_with({{"HOME", "/root"}});
  EXPECT_FALSE(launch.launched());
  EXPECT_EQ(launch.rank, 0);
  EXPECT_EQ(launch.size, 1);
}

TEST(Launch, OpenMpi) {
  const Launch launch = launch_with({{"OMPI_COMM_WORLD_RANK", "5"},
                                     {"OMPI_COMM_WORLD_SIZE", "8"},
                                     {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                     {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}});
  EXPECT_EQ(launch.launcher, "mpirun of Open MPI");
  EXPECT_EQ(launch.rank, 5);
  EXPECT_EQ(launch.size, 8);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.local_size, 4);
}

TEST(Launch, OneRankIsLaunchedToo) {
  const Launch launch = launch_with({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}});
  EXPECT_TRUE(launch.launched());
  EXPECT_EQ(launch.size, 1);
}

TEST(Launch, Mpich) {
  const Launch launch = launch_with({{"PMI_RANK", "1"}, {"PMI_SIZE", "3"}});
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.size, 3);
  EXPECT_EQ(launch.local_rank, std::nullopt);
}

TEST(Launch, SrunWithPmix) {
  const Launch launch = launch_with({{"PMIX_RANK", "2"},
                                     {"SLURM_PROCID", "2"},
                                     {"SLURM_LOCALID", "0"},
                                     {"SLURM_NTASKS", "9"},
                                     {"SLURM_STEP_NUM_TASKS", "4"}});
  EXPECT_EQ(launch.launcher, "srun with PMIx");
  EXPECT_EQ(launch.rank, 2);
  EXPECT_EQ(launch.size, 4);
}

TEST(Launch, MpirunInsideOfSlurm) {
  const Launch launch = launch_with({{"OMPI_COMM_WORLD_RANK", "1"},
                                     {"OMPI_COMM_WORLD_SIZE", "2"},
                                     {"PMIX_RANK", "1"},
                                     {"SLURM_NTASKS", "9"}});
  EXPECT_EQ(launch.launcher, "mpirun of Open MPI");
  EXPECT_EQ(launch.size, 2);
}

TEST(Launch, SrunWithoutMpiIsRefused) {
  EXPECT_THAT(
      [] {
        launch_with({{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "4"}});
      },
      ThrowsMessage<UsageError>(HasSubstr("srun --mpi=pmix -n 4 ddpm ...")));
}

// A batch script has SLURM_PROCID=0, but it is no step.
TEST(Launch, AllocationIsNoLaunch) {
  EXPECT_FALSE(launch_with({{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "4"}}).launched());
  EXPECT_FALSE(launch_with({{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}})
                   .launched());
  EXPECT_FALSE(launch_with({{"SLURM_JOB_ID", "7"},
                            {"SLURM_NTASKS", "4"},
                            {"SLURM_PROCID", "0"},
                            {"SLURM_STEP_NUM_TASKS", "1"}})
                   .launched());
}

TEST(Launch, TorchrunIsRefused) {
  const auto refused = ThrowsMessage<UsageError>(
      AllOf(HasSubstr("mpirun -n 6 ddpm ..."), HasSubstr("not by torchrun")));
  EXPECT_THAT([] { launch_with({{"TORCHELASTIC_RUN_ID", "none"}, {"WORLD_SIZE", "6"}}); }, refused);
  EXPECT_THAT(
      [] {
        launch_with(
            {{"RANK", "0"}, {"WORLD_SIZE", "6"}, {"LOCAL_RANK", "0"}, {"MASTER_ADDR", "a"}});
      },
      refused);
  EXPECT_FALSE(launch_with({{"RANK", "0"}, {"WORLD_SIZE", "6"}}).launched());
}

TEST(Launch, WrongNumbersAreRefused) {
  EXPECT_THAT(
      [] {
        launch_with({{"OMPI_COMM_WORLD_RANK", "one"}, {"OMPI_COMM_WORLD_SIZE", "4"}});
      },
      ThrowsMessage<UsageError>(HasSubstr("OMPI_COMM_WORLD_RANK=one; it must be a number")));
  EXPECT_THAT(
      [] {
        launch_with({{"PMI_RANK", "4"}, {"PMI_SIZE", "4"}});
      },
      ThrowsMessage<UsageError>(HasSubstr("PMI_RANK=4 and PMI_SIZE=4")));
}

TEST(PluginFile, IsBesideTheProgramOrInstalled) {
  const std::vector<std::string> places = plugin_places(environment({}));
  ASSERT_EQ(places.size(), 2U);
  EXPECT_THAT(places[0], testing::EndsWith("rooms/comm/libddpm_mpi.so"));
  EXPECT_THAT(places[1], testing::ContainsRegex("rooms/lib.*/ddpm/libddpm_mpi.so$"));
}

TEST(PluginFile, VariableNamesTheOnlyPlace) {
  EXPECT_THAT(plugin_places(environment({{"DDPM_MPI_PLUGIN", "/opt/plugin.so"}})),
              testing::ElementsAre("/opt/plugin.so"));
}

TEST(PluginFile, MissingFileNamesAllPlaces) {
  EXPECT_THAT(
      [] {
        load_plugin({"/nowhere/a.so", "/nowhere/b.so"});
      },
      ThrowsMessage<Error>(AllOf(HasSubstr("there is no /nowhere/a.so, and no /nowhere/b.so;"),
                                 HasSubstr("libopenmpi-dev"), HasSubstr("DDPM_MPI_PLUGIN"))));
}

TEST(PluginFile, MissingLibraryIsNamed) {
  EXPECT_THAT([] { load_plugin({DDPM_UNUSABLE_PLUGIN}); },
              ThrowsMessage<Error>(AllOf(HasSubstr("libunusable_plugin.so: libmissing_library.so"),
                                         HasSubstr("libopenmpi3"))));
}

TEST(PluginFile, WhatIsNoPluginIsRefused) {
  const std::string text = std::string(DDPM_SOURCE_DIR) + "/README.md";
  EXPECT_THAT([&] { load_plugin({text}); },
              ThrowsMessage<Error>(AllOf(HasSubstr("cannot load " + text), HasSubstr("openmpi"))));
  EXPECT_THAT([] { load_plugin({DDPM_OTHER_PLUGIN}); },
              ThrowsMessage<Error>(HasSubstr("is no plugin of ddpm")));
}

}  // namespace
}  // namespace ddpm
