// What several commands share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/flags.h"
#include "ddpm/data/source.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/train_options.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm::cli {

// --threads and --device.
struct Machine {
  int64_t threads = 0;
  std::string device = "cpu";

  void declare(Flags& flags);
  // Sets the thread count and gives the device. Throws UsageError for values out of range.
  Device apply() const;
};

// MODEL and the flags for what a bare state dict does not tell.
struct ModelFlags {
  std::string path;
  ModelConfig config;

  void declare(Flags& flags);
  // Only what was given counts.
  Model load(const Flags& flags, Device device) const;
};

// The fields of `options` whose flags were given and that no state dict tells.
template <class Options>
JsonObject given_fields(const Flags& flags, const Options& options) {
  JsonObject given;
  for (const Field& field : fields_of(options)) {
    if (!field.in_state_dict() && flags.given(flag_name(field.name())))
      given.set(field.name(), field.json());
  }
  return given;
}

// Options of training from a JSON file. Keys are those of config.json, so that a run's own file can
// start another.
void read_config_file(const std::string& path, TrainOptions& options);

// Throws UsageError unless the value lies in the range.
void check_range(const char* command, const char* flag, int64_t value, int64_t lowest,
                 int64_t highest);

// The largest --scale of grids.
inline constexpr int64_t kMostScale = 1024;

// Forms of SOURCE and what they mean, for help.
std::vector<std::pair<std::string, std::string>> source_rows();

// What a source gave and what it left out, for people; names the first `most_named` of the files
// that were skipped.
std::string describe(const LoadReport& report, const Dataset& pictures, size_t most_named);

// Three digits and a unit: "35.7 M", or with "FLOP" "58.9 MFLOP" and "987 FLOP".
std::string short_number(double value, const std::string& unit = "");

// "s" unless there is one.
inline const char* plural(int64_t count) { return count == 1 ? "" : "s"; }

}  // namespace ddpm::cli
