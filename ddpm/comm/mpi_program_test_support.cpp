// A program that mpirun starts in tests.
//   PROGRAM operations    every operation
#include <cstdio>
#include <cstdlib>
#include <string>

#include "ddpm/base/error.h"
#include "ddpm/base/version.h"
#include "ddpm/comm/communicator_test_support.h"
#include "ddpm/comm/ranks.h"

namespace ddpm {
namespace {

void print(const std::string& line) { std::fprintf(stderr, "ddpm: %s\n", line.c_str()); }

int run(const std::string& what) {
  RanksOptions options{.report = print,
                       .environment = [](const char* name) { return std::getenv(name); },
                       .version = version()};
  if (what == "pieces") options.largest_call = 1000;
  Ranks ranks(options);
  if (what == "operations" || what == "pieces") {
    for (const size_t bytes : {size_t{0}, size_t{4}, size_t{1001}, size_t{1} << 20}) {
      if (what == "pieces" && bytes > 100000) continue;
      test::check_operations(ranks.communicator(), bytes);
    }
    test::check_overlap(ranks.communicator());
    test::check_two_threads(ranks.communicator());
  }
  std::printf("rank %d of %d ends\n", ranks.communicator().rank(), ranks.communicator().size());
  ranks.close();
  return 0;
}

}  // namespace
}  // namespace ddpm

int main(int, char** arguments) {
  try {
    return ddpm::run(arguments[1]);
  } catch (const std::exception& error) {
    ddpm::print(error.what());
    return 1;
  }
}
