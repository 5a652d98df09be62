#include "apps/cli/mpirun.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "apps/cli/output.h"
#include "ddpm/base/error.h"

namespace ddpm::cli {
namespace {

// The first line of its --version.
std::string version_of(const std::string& program) {
  const std::string command = shell_word(program) + " --version 2>&1";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> output(popen(command.c_str(), "r"), pclose);
  char line[256] = "";
  if (!output || std::fgets(line, sizeof line, output.get()) == nullptr) return {};
  return std::string(line).substr(0, std::string_view(line).find('\n'));
}

// What the ranks need of this program's environment on other hosts.
std::vector<std::string> names_to_pass() {
  std::vector<std::string> names;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view variable = *each;
    const std::string_view name = variable.substr(0, variable.find('='));
    if (name.starts_with("DDPM_") || name == "OMP_NUM_THREADS") names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

std::string find_mpirun() {
  const char* path = std::getenv("PATH");
  const std::string_view folders = path == nullptr ? "" : path;
  for (size_t begin = 0; begin < folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string program = fmt::format("{}/mpirun", folders.substr(begin, end - begin));
    begin = end + 1;
    if (access(program.c_str(), X_OK) != 0) continue;
    const std::string version = version_of(program);
    if (version.find("Open MPI") != std::string::npos) return program;
    fail("launch", fmt::format("{} is not Open MPI's mpirun (it says '{}'); put Open MPI first in "
                               "PATH, or start the ranks yourself: mpirun -n N ddpm COMMAND ...",
                               program, version));
  }
  fail("launch",
       "there is no mpirun in PATH; install Debian's package openmpi-bin (and openssh-client for "
       "several hosts)");
}

std::vector<std::string> mpirun_words(const std::string& mpirun, const Hosts& hosts, int ranks,
                                      const std::vector<std::string>& command) {
  std::vector<std::string> words = {mpirun, "-n", std::to_string(ranks)};
  const auto add = [&words](std::vector<std::string> more) {
    words.insert(words.end(), more.begin(), more.end());
  };
  if (!hosts.empty()) add({"--host", to_text(hosts)});
  // The ranks share the cores of their host by threads. Bound to one core each, they could not.
  add({"--bind-to", "none", "--map-by", "slot:OVERSUBSCRIBE"});
  // `ddpm launch` says itself which ranks were lost.
  add({"--quiet"});
  // mpirun refuses root without this. Whoever runs this program as root has decided that.
  if (geteuid() == 0) add({"--allow-run-as-root"});
  for (const std::string& name : names_to_pass()) add({"-x", name});
  add({"--"});
  add(command);
  return words;
}

}  // namespace ddpm::cli
