// ddpm eval: compares the pictures of a model, or those of a folder, with real ones.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/drawing.h"
#include "apps/cli/eval_flags.h"
#include "apps/cli/eval_report.h"
#include "apps/cli/eval_sets.h"
#include "apps/cli/guide_flags.h"
#include "apps/cli/job.h"
#include "apps/cli/output.h"
#include "apps/cli/outputs.h"
#include "apps/cli/progress.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/text.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/evaluator.h"
#include "ddpm/engine/feature_cache.h"
#include "ddpm/engine/model_bits.h"
#include "ddpm/engine/recipe.h"
#include "ddpm/eval/classifier.h"
#include "ddpm/eval/features.h"
#include "ddpm/eval/inception.h"
#include "ddpm/io/safetensors.h"

namespace ddpm::cli {
namespace {

constexpr int64_t kNeighbourRows = 16, kNeighbourColumns = 5;

void warn(const std::string& text) { say(fmt::format("warning: {}\n", printable(text))); }

// Trained on the real pictures, or loaded if that was done before.
std::unique_ptr<FeatureNetwork> classifier_of(const Pictures& real, const FeatureCache& cache) {
  const std::string file = cache.file(fmt::format("classifier {}", source_key(real)), "classifier");
  try {
    if (!file.empty() && exists(file)) return load_classifier(file);
  } catch (const Error& error) {
    warn(fmt::format("cannot use the cached classifier, so it is trained again: {}",
                     without_place(error.what())));
  }
  Progress progress("step");
  std::unique_ptr<Classifier> classifier =
      train_classifier(real, {}, [&](int64_t step, int64_t steps, double loss) {
        progress.update(step, steps, fmt::format("classifier, loss {:.3f}", loss));
      });
  progress.finish();
  say(
      fmt::format("the classifier finds the class of {:.2f} % of {} pictures that it was not "
                  "trained on\n",
                  100 * classifier->accuracy(), classifier->held_out()));
  if (file.empty()) return classifier;
  try {
    make_folder(cache.folder());
    save_classifier(*classifier, file);
  } catch (const Error& error) {
    warn(fmt::format("cannot keep the classifier for the next time: {}",
                     without_place(error.what())));
  }
  return classifier;
}

std::unique_ptr<FeatureNetwork> network_of(const EvalFlags& request, const Pictures& real,
                                           const FeatureCache& cache) {
  if (request.features == "random") return random_features();
  if (request.features == "classifier") return classifier_of(real, cache);
  return inception_features(request.features);
}

// The files that are written at the end. They are opened before the work begins.
struct Files {
  explicit Files(const EvalFlags& request) {
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

std::optional<ModelBits> bits_of(const EvalFlags& request, const Model* model,
                                 const Pictures& real) {
  if (request.bits == 0) return std::nullopt;
  Progress progress("picture");
  const ModelBits bits = model_bits(
      *model->network, model->config, real, real_indices(real.size(), request.bits),
      {.steps = request.bits_steps, .seed = request.generate.seed}, request.generate.batch,
      [&](int64_t done, int64_t total) { progress.update(done, total, "bits per dimension"); });
  progress.finish();
  return bits;
}

// Nothing if the argument names pictures.
std::optional<Model> load_model_of(const EvalFlags& request, const Flags& flags, Device device) {
  if (names_pictures(request.model.path)) return std::nullopt;
  Model model = request.model.load(flags, device);
  check_flags_of_model(request, flags, model.config);
  return model;
}

// Completes how the model draws, and refuses what it cannot do before any picture is read or drawn.
void check_drawing(const Model& model, const Flags& flags, GenerateOptions& options) {
  complete_sampling(options.sampling, model.config);
  GenerateOptions one = options;
  one.count = 1;
  if (const int64_t channels = model.config.network.condition_channels(); channels > 0)
    one.condition = Tensor::zeros({1, options.height, options.width, channels});
  one.check_for(model.config);
  warn_of_idle_guidance(flags, options, model);
}

// How the pictures are drawn, with the names of a recipe in a PNG file, except for `weights` and
// `size`, which have those of the flags: `width` is the number of features.
JsonObject drawing(const EvalFlags& request, const Flags& flags, const Model& model,
                   const Model* guide) {
  const RecipeModel judged = recipe_model(model, request.model.weights, request.model.given(flags));
  const RecipeModel by = guide ? recipe_model(*guide, "average", {}) : RecipeModel{};
  const RecipeWriter recipe(model, judged, by, request.generate);
  JsonObject members;
  for (const auto& [name, value] : recipe.common().members()) {
    if (name == "height" || name == "width") continue;
    members.set(name == "model_weights" ? "weights" : name, value);
  }
  members.set("size", json_value::write(
                          fmt::format("{}x{}", request.generate.height, request.generate.width)));
  return members;
}

int run(EvalFlags& request, const Flags& flags) {
  const Device device = request.machine.apply_to_rank();
  if (job().rank() > 0) return serve_drawing_command(device);
  const std::unique_ptr<DrawingRanks> ranks = drawing_ranks();
  check_flags(request, flags);
  request.sets.needs_classes = request.features == "classifier";
  const std::optional<Model> model = load_model_of(request, flags, device);
  const std::unique_ptr<const Model> guide =
      model ? request.guide.load(flags, device, request.generate) : nullptr;
  refuse_to_overwrite(request, model ? &*model : nullptr, guide.get());
  if (model) {
    set_size(*model, request.sets, request.generate);
    check_drawing(*model, flags, request.generate);
  }
  const JsonObject how = model ? drawing(request, flags, *model, guide.get()) : JsonObject();
  Files files(request);
  if (model) draw_together(ranks.get(), *model, guide.get(), request.generate);
  const Sets sets =
      model ? sets_of_model(*model, request.sets, request.generate)
            : sets_of_pictures(request.model.path, request.sets, request.generate.count);
  if (flags.given("n") && sets.judged->count() < request.generate.count) {
    fail_usage("eval",
               fmt::format("--n is {}, but {} holds {} picture{}", request.generate.count,
                           request.model.path, sets.judged->count(), plural(sets.judged->count())));
  }
  const auto bits = bits_of(request, model ? &*model : nullptr, *sets.real);
  const FeatureCache cache(request.cache == "none" ? ""
                           : request.cache.empty() ? default_cache_folder()
                                                   : request.cache,
                           warn);
  const std::unique_ptr<FeatureNetwork> network = network_of(request, *sets.real, cache);
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
  const EvalReport report{.judged = request.model.path,
                          .real = sets.real->name(),
                          .drawing = how,
                          .evaluation = evaluation,
                          .bits = bits};
  // After the report, so that figures which took long are not lost.
  const auto finish = [&] {
    if (files.neighbours) write_neighbours(evaluation, asked, *files.neighbours);
    return 0;
  };
  if (request.json) {
    print(printable_json(json_of(report)) + "\n");
    return finish();
  }
  print(text_of(report));
  for (const std::string& warning : evaluation.figures.warnings) warn(warning);
  return finish();
}

}  // namespace

Action eval_command(Flags& flags) {
  const auto request = std::make_shared<EvalFlags>();
  request->declare(flags);
  flags.list("Features",
             {{"random", "a fixed network with random weights, the same for everyone"},
              {"classifier", "a network that is trained on the classes of the real pictures"},
              {"FILE", "Inception-v3 with pytorch-fid's weights (.safetensors): the usual FID"}});
  flags.list("SOURCE is one of", source_rows());
  list_samplers(flags);
  list_drawing_ranks(flags, "eval");
  return [request, &flags] { return run(*request, flags); };
}

}  // namespace ddpm::cli
