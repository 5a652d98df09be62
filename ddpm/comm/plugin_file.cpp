#include "ddpm/comm/plugin_file.h"

#include <dlfcn.h>
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "ddpm/base/error.h"
#include "ddpm/base/version.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "libddpm_mpi.so";

}  // namespace

std::vector<std::string> plugin_places(const Environment& environment) {
  if (const char* named = environment("DDPM_MPI_PLUGIN"); named != nullptr && *named != '\0')
    return {named};
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return {};
  const fs::path folder = program.parent_path();
  return {(folder / kName).string(),
          (folder.parent_path() / DDPM_INSTALL_LIBDIR / "ddpm" / kName).string()};
}

const MpiPlugin& load_plugin(const std::vector<std::string>& places) {
  const auto exists = [](const std::string& place) {
    std::error_code error;
    return fs::exists(place, error);
  };
  const auto found = std::ranges::find_if(places, exists);
  if (found == places.end())
    fail("ranks",
         fmt::format("the plugin for MPI is missing: there is no {}; the variable DDPM_MPI_PLUGIN "
                     "can name it; if ddpm was built without MPI, install Debian's package "
                     "libopenmpi-dev and build it again",
                     fmt::join(places, ", and no ")));
  // RTLD_GLOBAL, because Open MPI loads plugins of its own, which use its symbols.
  void* handle = dlopen(found->c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr)
    fail("ranks", fmt::format("cannot load {}: {}; install the MPI that it was built with (Debian: "
                              "packages libopenmpi3 and openmpi-bin)",
                              *found, dlerror()));
  const auto entry = reinterpret_cast<MpiPluginEntry>(dlsym(handle, kMpiPluginSymbol));
  if (entry == nullptr)
    fail("ranks", fmt::format("{} is no plugin of ddpm: it lacks {}; name {} in DDPM_MPI_PLUGIN",
                              *found, kMpiPluginSymbol, kName));
  const MpiPlugin& plugin = *entry();
  if (plugin.interface != kMpiPluginInterface || std::string_view(plugin.version) != version())
    fail("ranks",
         fmt::format("{} belongs to ddpm {} (interface {}), but this is ddpm {} "
                     "(interface {}); install both from the same build",
                     *found, plugin.version, plugin.interface, version(), kMpiPluginInterface));
  return plugin;
}

}  // namespace ddpm
