// ddpm eval: compares the pictures of a model, or those of a folder, with real ones.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/eval_report.h"
#include "apps/cli/output.h"
#include "apps/cli/outputs.h"
#include "apps/cli/progress.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/text.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/image.h"
#include "ddpm/data/input_pictures.h"
#include "ddpm/data/source_pairs.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/engine/evaluator.h"
#include "ddpm/engine/feature_cache.h"
#include "ddpm/engine/model_bits.h"
#include "ddpm/eval/features.h"
#include "ddpm/io/safetensors.h"
#include "ddpm/nn/network.h"

namespace ddpm::cli {
namespace {

constexpr int64_t kMostPictures = 1'000'000;
constexpr int64_t kNeighbourRows = 16, kNeighbourColumns = 5;

struct Request {
  ModelFlags model;
  Machine machine;
  GenerateOptions generate = {.count = 5000};
  std::string data, size, channels = "auto", background = "white", condition, labels;
  bool classes = false, json = false;
  std::string features = "random", cache, save_features, neighbours;
  int64_t real = 50'000, bits = 0, bits_steps = 20;
};

void check(const Request& request) {
  request.generate.check();
  check_range("eval", "--n", request.generate.count, 2, kMostPictures);
  check_range("eval", "--real", request.real, 2, kMostPictures);
  check_range("eval", "--bits", request.bits, 0, kMostPictures);
  check_range("eval", "--bits-steps", request.bits_steps, 0, kMostTimesteps);
  if (!request.neighbours.empty()) check_output_name(request.neighbours, "--neighbours", ".png");
  if (!request.save_features.empty())
    check_output_name(request.save_features, "--save-features", ".safetensors");
}

// Whether the argument names pictures, and not a model.
bool names_pictures(const std::string& path) {
  for (const char* kind : {"folder:", "mnist:", "cifar10:", "emoji:"})
    if (path.starts_with(kind)) return true;
  if (path == "emoji" && !exists(path)) return true;
  const std::optional<FileStatus> status = find_file(path);
  if (!status || status->type != FileType::kFolder) return false;
  // A run has one of these.
  for (const char* name : {"/model.safetensors", "/checkpoints", "/config.json"})
    if (exists(path + name)) return false;
  return true;
}

// Loads a source and shows progress. Files that were left out are told.
LoadedPictures load(const std::string& source, const ImageCondition& condition,
                    const SourceOptions& options) {
  Progress progress("picture");
  LoadedPictures loaded =
      load_pictures(source, condition, options,
                    [&](int64_t done, int64_t total) { progress.update(done, total, "reading"); });
  progress.finish();
  if (const size_t skipped = loaded.report.skipped.size(); skipped > 0) {
    say(fmt::format("skipped {} file{} of {}; 'ddpm data' lists all\n", skipped,
                    plural(static_cast<int64_t>(skipped)), printable(source)));
  }
  return loaded;
}

// The real pictures. `tries_classes`: with their classes if the source has some.
std::shared_ptr<const Pictures> load_data(const Request& request, const ImageCondition& condition,
                                          SourceOptions options, bool tries_classes,
                                          std::vector<std::string>& notes) {
  const auto pictures = [&] {
    LoadedPictures loaded = load(request.data, condition, options);
    return condition.computed() ? with_condition(loaded.pictures, condition) : loaded.pictures;
  };
  options.classes = request.classes || (tries_classes && request.labels.empty());
  options.labels = request.labels;
  if (!tries_classes || request.classes || !request.labels.empty()) return pictures();
  try {
    return pictures();
  } catch (const UsageError& error) {
    options.classes = false;
    const std::shared_ptr<const Pictures> loaded = pictures();
    notes.push_back(fmt::format("no figures of classes: {}", without_place(error.what())));
    return loaded;
  }
}

// Both sets of pictures, and the model that draws the first.
struct Sets {
  std::optional<Model> model;
  std::shared_ptr<const Pictures> real;
  std::unique_ptr<JudgedPictures> judged;
  // For the report.
  std::vector<std::string> notes;
};

ImageCondition condition_for(const Request& request, const ModelConfig& config) {
  ImageCondition condition = condition_of_model(config.condition);
  if (condition.kind != ImageCondition::Kind::kPairs) {
    if (request.condition.empty()) return condition;
    fail_usage("eval",
               fmt::format("--condition is for models of pairs; this one is of condition {}",
                           config.condition));
  }
  if (request.condition.empty()) {
    fail_usage("eval", "the model draws from other pictures; give their folder with --condition");
  }
  condition.folder = request.condition;
  return condition;
}

Sets sets_of_model(Request& request, const Flags& flags, Device device) {
  Sets sets{.model = request.model.load(flags, device)};
  const ModelConfig& config = sets.model->config;
  if (request.bits > 0) check_has_bound(config.process);
  GenerateOptions& generate = request.generate;
  const ImageSize size = request.size.empty() ? ImageSize{config.height, config.width}
                                              : parse_image_size(request.size);
  if (size.height < 1 || size.width < 1) {
    fail_usage("eval", "the model's file does not say how large its pictures are; give --size");
  }
  config.network.check_image(size.height, size.width);
  generate.height = size.height;
  generate.width = size.width;
  const SourceOptions options{.size = size,
                              .channels = std::to_string(config.network.channels()),
                              .background = request.background};
  sets.real = load_data(request, condition_for(request, config), options,
                        config.network.classes() > 0, sets.notes);
  sets.judged = drawn_pictures(*sets.model->network, config, generate, sets.real);
  return sets;
}

// The size of the first picture, if no other is asked for.
ImageSize size_of(const Request& request) {
  if (!request.size.empty()) return parse_image_size(request.size);
  if (!is_folder_source(request.model.path)) return {};
  std::string folder = request.model.path;
  if (folder.starts_with("folder:")) folder.erase(0, 7);
  const Tensor first = InputPictures(folder).load(0);
  return {first.size(0), first.size(1)};
}

Sets sets_of_pictures(Request& request, const Flags& flags) {
  if (request.bits > 0)
    fail_usage("eval", "--bits needs a model, and a folder of pictures has none");
  Sets sets;
  SourceOptions options{.size = size_of(request),
                        .channels = request.channels,
                        .background = request.background,
                        .classes = request.classes && request.labels.empty()};
  LoadedPictures judged = load(request.model.path, {}, options);
  options.size = judged.pictures->image_size();
  sets.real = load_data(request, {}, options, false, sets.notes);
  // Both sets get the channels of the one that has more.
  const int64_t channels = std::max(judged.pictures->channels(), sets.real->channels());
  options.channels = std::to_string(channels);
  if (judged.pictures->channels() < channels) judged = load(request.model.path, {}, options);
  if (sets.real->channels() < channels)
    sets.real = load_data(request, {}, options, false, sets.notes);
  const int64_t count = judged.pictures->size();
  if (flags.given("n") && request.generate.count > count) {
    fail_usage("eval", fmt::format("--n is {}, but {} holds {} picture{}", request.generate.count,
                                   request.model.path, count, plural(count)));
  }
  sets.judged = judged_pictures(judged.pictures, std::min(request.generate.count, count));
  return sets;
}

std::unique_ptr<FeatureNetwork> network_of(const Request& request) {
  if (request.features == "random") return random_features();
  fail_usage("eval", fmt::format("there are no features '{}'; choose random", request.features));
}

// The files that are written at the end. They are opened before the work begins.
struct Files {
  explicit Files(const Request& request) {
    if (!request.save_features.empty())
      features = std::make_unique<OutputFile>(request.save_features);
    if (!request.neighbours.empty()) neighbours = std::make_unique<OutputFile>(request.neighbours);
  }
  std::unique_ptr<OutputFile> features, neighbours;
};

void write_features(const Evaluation& evaluation, OutputFile& file) {
  SafetensorsWriter writer;
  writer.set_metadata("ddpm.features", evaluation.features);
  writer.add("real", evaluation.real);
  writer.add("generated", evaluation.generated);
  file.write(writer);
}

void write_neighbours(const Evaluation& evaluation, const EvaluationRequest& asked,
                      OutputFile& file) {
  const Tensor pictures = beside_neighbours(evaluation, asked, kNeighbourRows, kNeighbourColumns);
  const int64_t rows = std::min(kNeighbourRows, evaluation.figures.n);
  const GridOptions grid{.columns = pictures.size(0) / rows,
                         .scale = comfortable_scale({pictures.size(1), pictures.size(2)})};
  file.write(encode_png(make_grid(pictures, grid)));
}

std::optional<ModelBits> bits_of(const Request& request, const Sets& sets) {
  if (request.bits == 0) return std::nullopt;
  Progress progress("picture");
  const ModelBits bits = model_bits(
      *sets.model->network, sets.model->config, *sets.real,
      real_indices(sets.real->size(), request.bits),
      {.steps = request.bits_steps, .seed = request.generate.seed}, request.generate.batch,
      [&](int64_t done, int64_t total) { progress.update(done, total, "bits per dimension"); });
  progress.finish();
  return bits;
}

int run(Request& request, const Flags& flags) {
  const Device device = request.machine.apply();
  check(request);
  const bool pictures = names_pictures(request.model.path);
  const std::unique_ptr<FeatureNetwork> network = network_of(request);
  Files files(request);
  const Sets sets =
      pictures ? sets_of_pictures(request, flags) : sets_of_model(request, flags, device);
  const FeatureCache cache(
      request.cache == "none" ? ""
      : request.cache.empty() ? default_cache_folder()
                              : request.cache,
      [](const std::string& text) { say(fmt::format("warning: {}\n", printable(text))); });
  Progress progress("picture");
  std::string shown;
  const EvaluationRequest asked{
      .network = *network,
      .real = *sets.real,
      .judged = *sets.judged,
      .most_real = request.real,
      .cache = &cache,
      .progress = [&](const std::string& what, double done, int64_t total) {
        if (what != shown) progress.start_from(0);
        shown = what;
        progress.update(static_cast<int64_t>(done), total, what);
      }};
  Evaluation evaluation = evaluate(asked);
  progress.finish();
  for (const std::string& note : sets.notes) evaluation.figures.warnings.push_back(note);
  if (files.features) write_features(evaluation, *files.features);
  if (files.neighbours) write_neighbours(evaluation, asked, *files.neighbours);
  const EvalReport report{.judged = request.model.path,
                          .real = sets.real->name(),
                          .evaluation = evaluation,
                          .bits = bits_of(request, sets)};
  if (request.json) {
    print(printable_json(json_of(report)) + "\n");
    return 0;
  }
  print(text_of(report));
  for (const std::string& warning : evaluation.figures.warnings)
    say(fmt::format("warning: {}\n", printable(warning)));
  return 0;
}

void declare_figures(Flags& flags, Request& request) {
  flags.group("What is compared");
  flags.add("data", request.data, "the real pictures, see below", "SOURCE");
  flags.require();
  flags.add("n", request.generate.count,
            "pictures that the model draws, or the most of a folder that are compared");
  flags.add("real", request.real, "the most real pictures; of more, a random choice is compared");
  flags.add("features", request.features, "the network in whose features pictures are compared",
            "random");
  flags.add("bits", request.bits,
            "also bits per dimension of so many real pictures: of models of eps, x0 and v");
  flags.add("bits-steps", request.bits_steps,
            "time steps that stand for all of a picture's bits, 0 for all");
  flags.add("json", request.json, "print one JSON object");
  flags.add(
      "neighbours", request.neighbours,
      "file for a grid: in each row one of the pictures that are nearest to being copies, and "
      "the real pictures nearest to it",
      "FILE.png");
  flags.add("save-features", request.save_features,
            "file for the features of both sets: real and generated, [N, width]",
            "FILE.safetensors");
  flags.add("cache", request.cache,
            "folder that keeps the features of real pictures, or none; ~/.cache/ddpm if not given",
            "DIR|none");
}

void declare_pictures(Flags& flags, Request& request) {
  flags.group("Pictures");
  flags.add("size", request.size,
            "size of all pictures, if not that of the model or of the folder's first picture",
            "N|HxW");
  flags.add("channels", request.channels,
            "of a folder: 1 grey, 3 RGB, 4 RGBA, or auto: the fewest that hold the pictures",
            "1|3|4|auto");
  flags.add("background", request.background, "colour behind transparent pixels: a name or #rrggbb",
            "COLOUR");
  flags.add("classes", request.classes,
            "also compare the pictures of each class, as in ddpm train");
  flags.add("labels", request.labels, "table of file names and classes of the real pictures",
            "FILE.csv");
  flags.add("condition", request.condition,
            "for a model that draws from other pictures: the folder of those that go with SOURCE",
            "DIR");
}

}  // namespace

Action eval_command(Flags& flags) {
  const auto request = std::make_shared<Request>();
  declare_figures(flags, *request);
  declare_pictures(flags, *request);
  flags.add_fields(
      request->generate, [](const Field& field) { return field.name() != "n"; },
      "How a model draws");
  request->machine.declare(flags);
  request->model.declare(flags);
  flags.list("SOURCE is one of", source_rows());
  return [request, &flags] { return run(*request, flags); };
}

}  // namespace ddpm::cli
