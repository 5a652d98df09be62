#include "apps/cli/job.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

#include "apps/cli/output.h"
#include "ddpm/base/text.h"
#include "ddpm/base/threads.h"
#include "ddpm/base/version.h"

namespace ddpm::cli {
namespace {

std::unique_ptr<Ranks>& opened() {
  static std::unique_ptr<Ranks> ranks;
  return ranks;
}

}  // namespace

Ranks& job() {
  std::unique_ptr<Ranks>& ranks = opened();
  if (!ranks) {
    ranks = std::make_unique<Ranks>(RanksOptions{
        .report = [](const std::string& line) { say(fmt::format("ddpm: {}\n", printable(line))); },
        .environment = [](const char* name) { return std::getenv(name); },
        .version = std::string(version())});
  }
  return *ranks;
}

void close_job() {
  if (!opened()) return;
  opened()->close();
  opened().reset();
}

void fail_job(std::string_view error, int status) {
  if (opened() && !opened()->alone()) opened()->fail(error, status);
}

void set_threads(int64_t threads) {
  if (threads > 0) return set_num_threads(static_cast<int>(threads));
  const int here = job().launch().local_size.value_or(1);
  if (here == 1 || std::getenv("OMP_NUM_THREADS") != nullptr) return;
  const auto share = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)) / here;
  // Some launchers bind each process to cores of its own.
  set_num_threads(std::max(1, std::min(num_threads(), share)));
}

}  // namespace ddpm::cli
