// Functions that several commands share.
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

// What MODEL may be, for help.
inline constexpr char kModelHelp[] =
    "a run directory, RUN@STEP for a snapshot or a checkpoint of it, or a .safetensors file";

// The flags --threads and --device.
struct Machine {
  int64_t threads = 0;
  std::string device = "cpu";

  void declare(Flags& flags);
  // Sets the thread count and returns the device. Throws UsageError for values out of range.
  Device apply() const;
  // The same for a command that computes on all ranks of the job. The default is then the share of
  // this rank of the cores of its host.
  Device apply_to_rank() const;

 private:
  Device checked() const;
};

// MODEL, --weights, and the flags for what cannot be read off a bare state dict, for all families
// of networks.
struct ModelFlags {
  std::string path;
  std::string weights = "average";

  void declare(Flags& flags);
  // Throws UsageError unless `weights` names a kind of weights.
  WeightKind weight_kind() const;
  // The file that load() reads. Throws as find_model_file().
  std::string file() const { return find_model_file(path, weight_kind()); }
  // Uses only those values whose flags were given.
  Model load(const Flags& flags, Device device) const;
  // These values.
  JsonObject given(const Flags& flags) const;

 private:
  // A flag and the family whose configuration takes its value.
  struct Declared {
    std::string field;
    size_t family;
  };
  std::vector<ModelConfig> configs_;  // one for each family
  std::vector<Declared> declared_;
};

// The fields of `options` whose flags were given and that cannot be read off a state dict.
template <class Options>
JsonObject given_fields(const Flags& flags, const Options& options) {
  JsonObject given;
  for (const Field& field : fields_of(options)) {
    if (!field.in_state_dict() && flags.given(flag_name(field.name())))
      given.set(field.name(), field.json());
  }
  return given;
}

// Throws UsageError unless the value is in the range.
void check_range(const char* command, const char* flag, int64_t value, int64_t lowest,
                 int64_t highest);

// The largest --scale of grids.
inline constexpr int64_t kMostScale = 1024;

// Throws UsageError if a flag was given a number that means "the sampler's own" to the library,
// such as --eta -1. Users leave the flag out.
void check_sampling_flags(const char* command, const Flags& flags, const SamplerOptions& sampling);
// Puts a value in place of each "auto" and each default. Warns where the model has tuned levels and
// these options leave it open to use them, but do not fit them.
void complete_sampling(SamplerOptions& options, const ModelConfig& config);

// Lists the samplers and the spacings with their meanings, in the help.
void list_samplers(Flags& flags);

// The forms of SOURCE and their meanings, for help.
std::vector<std::pair<std::string, std::string>> source_rows();

// Describes for users what a source gave and what it left out. Lists at most `most_named` of the
// classes and of the skipped files.
std::string describe(const LoadReport& report, const Pictures& pictures, size_t most_named);

// A number with three digits and a unit: "35.7 M", or with the unit "FLOP" "58.9 MFLOP", "987
// FLOP".
std::string short_number(double value, const std::string& unit = "");

// "s" unless there is one.
inline const char* plural(int64_t count) { return count == 1 ? "" : "s"; }

}  // namespace ddpm::cli
