// A program that mpirun starts in tests:
//   rank_program WHAT [RANK [SECONDS]]
// WHAT is what rank RANK does, or all if it is -1. A rank that nothing comes from for SECONDS is
// lost.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "ddpm/base/error.h"
#include "ddpm/base/version.h"
#include "ddpm/comm/communicator_test_support.h"
#include "ddpm/comm/ranks.h"

namespace ddpm {
namespace {

void print(const std::string& line) { std::fprintf(stderr, "ddpm: %s\n", line.c_str()); }

const char* variable(const char* name) { return std::getenv(name); }

// Waits for all other ranks.
void meet(Communicator& communicator) {
  const std::vector<size_t> sizes(static_cast<size_t>(communicator.size()), 1);
  std::vector<std::byte> all(sizes.size());
  const std::byte own{};
  communicator.all_gather({&own, 1}, all, sizes)->wait();
}

void check_all(Communicator& communicator, size_t most) {
  for (const size_t bytes : {size_t{0}, size_t{4}, size_t{1001}, size_t{3000001}}) {
    if (bytes <= most) test::check_operations(communicator, bytes);
  }
  test::check_overlap(communicator);
  test::check_two_threads(communicator);
}

void act(const std::string& what, Ranks& ranks, std::chrono::milliseconds lost_after) {
  if (what == "kill") std::raise(SIGKILL);
  if (what == "stop") std::raise(SIGSTOP);
  if (what == "exit") std::exit(0);
  if (what == "fail") fail("disk", "/data is full; free some space");
  if (what == "refuse") fail_usage("options", "--size 0; it must be at least 1");
  if (what == "slow") std::this_thread::sleep_for(2 * lost_after);
  if (what == "work") {
    std::printf("rank %d works\n", ranks.rank());
    std::fflush(stdout);
    for (int i = 0; i < 100000; ++i) {
      meet(ranks.communicator());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
}

int run(const std::string& what, int rank, double seconds) {
  const Launch launch = read_launch(variable);
  RanksOptions options{.report = print, .environment = variable, .version = version()};
  options.lost_after = std::chrono::milliseconds(static_cast<int>(1000 * seconds));
  const bool mine = rank == -1 || rank == launch.rank;
  if (what == "before" && mine) return 3;
  if (what == "version" && mine) options.version = "9.9.9";
  if (what == "pieces") options.largest_call = 1000;
  Ranks ranks(options);
  ranks.set_loss_note("the last checkpoint is good");
  try {
    if (what == "operations") check_all(ranks.communicator(), SIZE_MAX);
    if (what == "pieces") check_all(ranks.communicator(), 100000);
    if (what == "leave" && mine) return 0;
    meet(ranks.communicator());
    if (mine) act(what, ranks, options.lost_after);
    if (what != "slow") meet(ranks.communicator());
    std::printf("rank %d of %d ends\n", ranks.rank(), ranks.size());
    ranks.close();
    return 0;
  } catch (const UsageError& error) {
    ranks.fail(error.what(), 2);
  } catch (const Error& error) {
    ranks.fail(error.what(), 1);
  }
}

}  // namespace
}  // namespace ddpm

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "";
  const int rank = count > 2 ? std::atoi(arguments[2]) : -1;
  const double seconds = count > 3 ? std::atof(arguments[3]) : 15;
  try {
    return ddpm::run(what, rank, seconds);
  } catch (const ddpm::UsageError& error) {
    ddpm::print(error.what());
    return 2;
  } catch (const ddpm::Error& error) {
    ddpm::print(error.what());
    return 1;
  }
}
