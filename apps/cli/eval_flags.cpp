#include "apps/cli/eval_flags.h"

#include <fmt/core.h>

#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "apps/cli/outputs.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/options.h"
#include "ddpm/diffusion/bits_per_dim.h"
#include "ddpm/nn/network.h"

namespace ddpm::cli {
namespace {

constexpr int64_t kMostPictures = 1'000'000;

// Throws UsageError if there are no such features, before any work.
void check_features(const std::string& features) {
  if (features == "random" || features == "classifier") return;
  const std::optional<FileStatus> status = find_file(features);
  if (status && status->type == FileType::kRegular) return;
  fail_usage("eval", fmt::format("there are no features '{}' and no such file; choose random, "
                                 "classifier, or a file of Inception-v3's weights",
                                 features));
}

[[noreturn]] void refuse(const std::string& what) { fail_usage("eval", what); }

// Where MODEL names pictures: flags that need a model.
void check_flags_of_pictures(const EvalFlags& request, const Flags& flags) {
  std::vector<std::string> of_models = {"bits",    "bits-steps", "guide",
                                        "weights", "device",     "condition"};
  GenerateOptions generate;
  for (const Field& field : fields_of(generate))
    if (field.name() != "n") of_models.push_back(flag_name(field.name()));
  const JsonObject given = request.model.given(flags);
  for (const auto& [name, value] : given.members()) of_models.push_back(flag_name(name));
  for (const std::string& flag : of_models) {
    if (!flags.given(flag)) continue;
    refuse(
        fmt::format("--{} needs a model, but {} holds pictures; leave it out, or give a run or a "
                    ".safetensors file",
                    flag, request.model.path));
  }
  if (flags.given("labels") && !request.sets.classes && request.features != "classifier")
    refuse(
        "--labels is for the figures of each class and for --features classifier; give "
        "--classes or that, or leave it out");
}

}  // namespace

void EvalFlags::declare(Flags& flags) {
  flags.group("What is compared");
  flags.add("data", sets.data, "the real pictures, see below", "SOURCE");
  flags.require();
  flags.add("n", generate.count,
            "pictures that the model draws, or the most of a set that are compared");
  flags.add("real", real, "the most real pictures; of more, a random choice is compared");
  flags.add("features", features, "the network in whose features pictures are compared",
            "random|classifier|FILE");
  flags.add("bits", bits,
            "also bits per dimension of so many real pictures: of models of eps, x0 and v");
  flags.add("bits-steps", bits_steps,
            "time steps that stand for all of a picture's bits, 0 for all");
  flags.add("json", json, "print one JSON object");
  flags.add(
      "neighbours", neighbours,
      "file for a grid: in each row one of the pictures that are nearest to being copies, and "
      "the real pictures nearest to it",
      "FILE.png");
  flags.add("save-features", save_features,
            "file for the features of both sets: real and generated, [N, width]",
            "FILE.safetensors");
  flags.add("cache", cache,
            "folder that keeps the features of real pictures, or none; ~/.cache/ddpm if not given",
            "DIR|none");
  sets.declare(flags);
  flags.add_fields(
      generate, [](const Field& field) { return field.name() != "n"; }, "How a model draws");
  guide.declare(flags);
  machine.declare(flags);
  model.declare(flags);
}

void check_flags(const EvalFlags& request, const Flags& flags) {
  if (names_pictures(request.model.path)) check_flags_of_pictures(request, flags);
  request.generate.check();
  check_range("eval", "--n", request.generate.count, 2, kMostPictures);
  check_range("eval", "--real", request.real, 2, kMostPictures);
  check_range("eval", "--bits", request.bits, 0, kMostPictures);
  check_range("eval", "--bits-steps", request.bits_steps, 0, kMostTimesteps);
  if (!request.neighbours.empty()) check_output_name(request.neighbours, "--neighbours", ".png");
  if (!request.save_features.empty())
    check_output_name(request.save_features, "--save-features", ".safetensors");
  check_features(request.features);
  check_sampling_flags("eval", flags, request.generate.sampling);
  if (flags.given("bits-steps") && request.bits == 0)
    refuse("--bits-steps says how --bits is computed; give that too, or leave it out");
}

void check_flags_of_model(const EvalFlags& request, const Flags& flags, const ModelConfig& config) {
  if (flags.given("channels")) {
    refuse(fmt::format(
        "--channels is for two sets of pictures; the real pictures get the {} of the model; leave "
        "it out",
        config.network.channels()));
  }
  if (flags.given("fit")) {
    refuse(
        fmt::format("--fit is for two sets of pictures; the real pictures are fitted as in the "
                    "model's training ({}); leave it out",
                    config.fit));
  }
  if (request.bits > 0) check_has_bound(config.process);
  if (config.network.classes() > 0) return;
  if (request.sets.classes)
    refuse("--classes is for models that draw classes, and this one draws none; leave it out");
  if (flags.given("labels") && request.features != "classifier")
    refuse(
        "--labels is for models that draw classes, and this one draws none; leave it out, or "
        "give --features classifier");
}

void refuse_to_overwrite(const EvalFlags& request, const Model* model, const Model* guide) {
  std::vector<std::string> files = {request.features, request.sets.labels, request.sets.data,
                                    request.sets.condition};
  if (model == nullptr) files.push_back(request.model.path);
  if (model != nullptr) files.push_back(model->path);
  if (guide != nullptr) files.push_back(guide->path);
  std::vector<std::string> folders;
  for (const std::string& source :
       {request.sets.data, request.sets.condition, request.model.path}) {
    const bool judged_model = model != nullptr && source == request.model.path;
    if (!judged_model && std::filesystem::is_directory(source)) folders.push_back(source);
  }
  const std::pair<const char*, std::string> outputs[] = {{"--save-features", request.save_features},
                                                         {"--neighbours", request.neighbours}};
  for (const auto& [flag, output] : outputs) {
    if (output.empty()) continue;
    for (const std::string& file : files) {
      if (file.empty() || !exists(file) || !same_file(file, output)) continue;
      fail_usage("eval",
                 fmt::format("{} {} is a file that is read; choose another name", flag, output));
    }
    for (const std::string& folder : folders) {
      if (!lies_inside(output, folder)) continue;
      fail_usage("eval", fmt::format("{} {} lies among the pictures in {}; choose another folder",
                                     flag, output, folder));
    }
  }
}

}  // namespace ddpm::cli
