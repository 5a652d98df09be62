// ddpm sample: writes new pictures as a grid, as single files, as an animation of the denoising,
// and as tensors.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "apps/cli/classes.h"
#include "apps/cli/command.h"
#include "apps/cli/drawing.h"
#include "apps/cli/inputs.h"
#include "apps/cli/job.h"
#include "apps/cli/output.h"
#include "apps/cli/picture_recipe.h"
#include "apps/cli/progress.h"
#include "apps/cli/sample_flags.h"
#include "apps/cli/sample_layout.h"
#include "apps/cli/sample_outputs.h"
#include "apps/cli/tensor_door.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/text.h"
#include "ddpm/data/pixels.h"
#include "ddpm/diffusion/guidance.h"
#include "ddpm/engine/memory_check.h"

namespace ddpm::cli {
namespace {

void check_tensors(const SampleFlags& request) {
  if (request.tensors.empty()) {
    if (!request.every_step) return;
    fail_usage("sample", "--every-step adds the states of every step to --tensors; give that too");
  }
  check_output_name(request.tensors, "--tensors", ".safetensors");
  if (!request.noise.empty() && same_file(request.noise, request.tensors)) {
    fail_usage("sample", fmt::format("--noise and --tensors are both {}; choose another file for "
                                     "--tensors",
                                     request.tensors));
  }
  if (exists(request.model.path) && same_file(request.model.file(), request.tensors)) {
    fail_usage("sample",
               fmt::format("--tensors {} is the model; choose another file", request.tensors));
  }
}

void check(const SampleFlags& request, const Flags& flags) {
  if (!request.makes_pictures() && request.tensors.empty()) {
    fail_usage("sample",
               "no output for the pictures; give --out grid.png, --each DIR, --trajectory t.webp "
               "or --tensors FILE.safetensors");
  }
  check_sampling_flags("sample", flags, request.generate.sampling);
  request.generate.check();
  check_range("sample", "--columns", request.columns, 0, 1'000'000);
  check_range("sample", "--scale", request.scale, 0, kMostScale);
  if (!request.out.empty()) check_output_name(request.out, "--out", ".png");
  if (!request.trajectory.empty()) {
    check_output_name(request.trajectory, "--trajectory", ".webp");
  }
  check_tensors(request);
}

// shape: of each draw in memory, [N, H, W, C].
void check_size_of_noise(const std::string& file, const Shape& shape, ImageSize size) {
  if (ImageSize{shape[1], shape[2]} == size) return;
  const Shape given{shape[0], shape[3], shape[1], shape[2]};
  const Shape wanted{shape[0], shape[3], size.height, size.width};
  fail_usage("sample", fmt::format("the noise in {} is {} for pictures of {}x{}; they need {}, as "
                                   "[N, C, H, W]",
                                   file, given.str(), size.height, size.width, wanted.str()));
}

// Sets the size (that of the inputs, of the noise, the one asked for, or that of the training) and
// the steps (those asked for, or the sampler's default).
void complete(const SampleFlags& request, const ModelConfig& config, const Inputs* inputs,
              GenerateOptions& options) {
  ImageSize size{options.height, options.width};  // of a picture to make again
  if (inputs != nullptr) {
    size = inputs->size();
  } else if (!request.size.empty()) {
    size = parse_image_size(request.size);
  } else if (!options.noise.empty()) {
    size = {options.noise[0].size(1), options.noise[0].size(2)};
  }
  if (size == ImageSize{}) size = {config.height, config.width};
  if (size.height < 1 || size.width < 1) {
    fail_usage("sample", "the model's file does not say how large its pictures are; give --size");
  }
  if (!options.noise.empty()) check_size_of_noise(request.noise, options.noise[0].shape(), size);
  config.network.check_image(size.height, size.width);
  options.height = size.height;
  options.width = size.width;
  complete_sampling(options.sampling, config);
  const int64_t channels = config.network.channels();
  if (request.makes_pictures() && channels != 1 && channels != 3 && channels != 4) {
    fail("sample", fmt::format("the model makes pictures of {} channels; pictures can be written "
                               "with 1, 3 or 4, and any with --tensors",
                               channels));
  }
}

// The inputs of a model that needs some; null for one that needs none.
std::unique_ptr<const Inputs> open_inputs(const SampleFlags& request, const ModelConfig& config) {
  if (request.input.empty()) {
    if (config.condition == "none") return nullptr;
    fail_usage("sample", fmt::format("the model draws from pictures (condition {}); give --input "
                                     "with a picture or a folder of them",
                                     config.condition));
  }
  ImageSize size = request.size.empty() ? ImageSize{} : parse_image_size(request.size);
  if (!request.like.empty()) size = {request.generate.height, request.generate.width};
  return std::make_unique<const Inputs>(request.input, config, size);
}

// Reads --noise, and sets the number of pictures: with inputs, --n counts the outputs of each, one
// if it is not given.
void set_count(SampleFlags& request, const Flags& flags, const ModelConfig& config,
               const Inputs* inputs, Device device) {
  GenerateOptions& options = request.generate;
  const int64_t sources = inputs ? inputs->count() : 1;
  const auto classes = std::max<int64_t>(1, std::ssize(options.labels));
  if (!request.noise.empty()) options.noise = read_noise(request.noise, config, device);
  const int64_t recorded = options.noise.empty() ? 0 : options.noise[0].size(0);
  if (recorded > 0 && !flags.given("n")) {
    options.count = recorded / classes;
  } else {
    if (inputs != nullptr && !flags.given("n")) options.count = 1;
    options.count *= sources;
  }
  if (recorded > 0 && (options.total() != recorded || options.count % sources != 0)) {
    fail_usage("sample", fmt::format("{} has noise for {} pictures, but {} are asked for ({} x {} "
                                     "classes x {} inputs); leave --n out, or give noise for all",
                                     request.noise, recorded, options.total(),
                                     options.count / sources, classes, sources));
  }
  options.check();
}

// The conditions of the pictures, of the inputs' bytes [I, H, W, C]. For a picture to make again,
// that of the input which has the condition of the recipe.
Tensor conditions_for(const Tensor& bytes, const std::optional<Recipe>& like,
                      const std::string& input) {
  const Tensor all = to_floats(bytes);
  if (!like) return all;
  for (int64_t i = 0; !like->is_grid && i < all.size(0); ++i) {
    const Tensor one = all.rows(i, i + 1).clone();
    if (hash_of_tensor(one) == like->condition) return one;
  }
  if (like->is_grid && hash_of_tensor(all) == like->condition) return all;
  fail_usage("sample", fmt::format("the picture was drawn from another input than {}; give the one "
                                   "that it was drawn from as --input",
                                   input));
}

void print_classes(const ModelConfig& config, const GenerateOptions& options) {
  print(fmt::format("classes, {} of each: ", options.count));
  for (size_t i = 0; i < options.labels.size(); ++i)
    print((i > 0 ? ", " : "") + printable(config.class_name(options.labels[i])));
  print("\n");
}

// An input of full size is easily given for a small one, and then takes hours.
void warn_of_large(const ModelConfig& config, ImageSize size) {
  constexpr int64_t kMuchLarger = 16;
  const int64_t trained = config.height * config.width, drawn = size.height * size.width;
  if (trained < 1 || drawn < kMuchLarger * trained) return;
  say(
      fmt::format("warning: the outputs are {}x{}, {} times the pixels that the model has learnt "
                  "from; this takes long. --size {}x{} scales the inputs\n",
                  size.height, size.width, drawn / trained, config.height, config.width));
}

// Draws what is missing, and hands everything over to the outputs.
void draw(const Model& model, GenerateOptions& options, DrawingRanks* ranks,
          SampleOutputs& outputs) {
  options.only = outputs.missing();
  const int64_t drawn = std::ssize(options.only);
  if (drawn == 0) return;
  draw_together(ranks, model, options.guide, options);
  Progress progress("step");
  const int64_t at_once = options.at_once();
  const int64_t batches = drawn / at_once + (drawn % at_once != 0);
  // Drawn before the first step, because a step of large pictures takes long.
  progress.update(0, batches * options.sampling.steps);
  options.all_states = outputs.shows_states();
  options.progress = [&](const GenerateProgress& now) {
    outputs.add(now);
    progress.update(now.begin / at_once * now.steps + now.step, batches * now.steps);
    return true;
  };
  generate(*model.network, model.config, options,
           [&](const GeneratedBatch& batch) { outputs.add(batch); });
  progress.finish();
}

void require_memory(const SampleFlags& request, const Model& model, const SampleLayout& layout,
                    const Inputs* inputs) {
  const GenerateOptions& options = request.generate;
  const int64_t sources = inputs ? inputs->count() : 1;
  require_memory_for_sampling(
      model.config,
      {.count = layout.count,
       .batch = options.batch,
       .height = options.height,
       .width = options.width,
       .prepare_weights = options.prepare_weights,
       .other_bytes = bytes_of_outputs(request, layout),
       .kept = false,
       .conditions = inputs ? inputs->count() : 0,
       .guided = Guidance{.scale = options.guidance}.needs_both() && options.guide == nullptr,
       .guide = options.guide ? &options.guide->config : nullptr,
       .images_per_n = layout.count / std::max<int64_t>(1, options.count / sources)});
}

int run(SampleFlags& request, const Flags& flags) {
  job().set_loss_note("the same command makes the same pictures again");
  const Device device = request.machine.apply_to_rank();
  if (job().rank() > 0) return serve_drawing_command(device);
  const std::unique_ptr<DrawingRanks> ranks = drawing_ranks();
  std::optional<Recipe> like;
  if (!request.like.empty()) like = take_like(request, flags);
  const bool alone = like && !like->is_grid;
  check(request, flags);
  JsonObject given = request.model.given(flags);
  if (like && given.members().empty()) given = like->model.given;
  const Model model = load_model(request.model.path, device, given, request.model.weight_kind());
  const RecipeModel of_model = recipe_model(model, request.model.weights, given);
  if (like) require_same_model(like->model, of_model, "MODEL", request.like);

  GenerateOptions& options = request.generate;
  const std::unique_ptr<const Inputs> inputs = open_inputs(request, model.config);
  if (!request.classes.empty()) options.labels = parse_classes(request.classes, model.config);
  if (!like) set_count(request, flags, model.config, inputs.get(), device);
  const double guidance = options.guidance;
  const std::unique_ptr<const Model> guide = request.guide.load(flags, device, options);
  if (guide && !request.tensors.empty() && same_file(guide->path, request.tensors)) {
    fail_usage("sample",
               fmt::format("--tensors {} is the guide; choose another file", request.tensors));
  }
  RecipeModel of_guide = guide ? recipe_model(*guide, "average", {}) : RecipeModel{};
  // --like looks for it there, from whichever folder.
  if (guide) of_guide.path = std::filesystem::absolute(guide->path).lexically_normal().string();
  if (like) {
    require_same_model(like->guide, of_guide, "--guide", request.like);
    options.guidance = guidance;
  }
  complete(request, model.config, inputs.get(), options);
  if (inputs && request.size.empty()) warn_of_large(model.config, inputs->size());

  const Inputs* shown = alone ? nullptr : inputs.get();
  const SampleLayout layout = lay_out(request, model.config, shown, alone);
  SampleOutputs outputs(request, layout, shown);
  require_memory(request, model, layout, inputs.get());
  Tensor conditions;  // [I, H, W, C], bytes
  if (inputs) {
    conditions = inputs->conditions();
    options.condition = conditions_for(conditions, like, request.input);
  }
  options.check_for(model.config);
  warn_of_idle_guidance(flags, options, model);
  RecipeWriter recipes(model, of_model, of_guide, options);
  if (!request.noise.empty()) recipes.add("noise", json_value::write(hash_of_file(request.noise)));
  outputs.prepare(recipes, alone);
  outputs.begin_grid(conditions);
  draw(model, options, ranks.get(), outputs);
  if (!options.labels.empty()) print_classes(model.config, options);
  outputs.finish();
  return 0;
}

}  // namespace

Action sample_command(Flags& flags) {
  const auto request = std::make_shared<SampleFlags>();
  flags.add("out", request->out, "file for all pictures in one grid", "FILE.png");
  flags.add("each", request->each,
            "folder for single pictures: DIR/00000.png, ...; those that the same command has made "
            "before are not made again",
            "DIR");
  flags.add("overwrite", request->overwrite,
            "replace what lies in the way in the folder of --each");
  flags.add("trajectory", request->trajectory, "file for an animation from noise to pictures",
            "FILE.webp");
  flags.add("like", request->like,
            "a PNG that this command has made: make it again, to the bit, with the options that it "
            "holds",
            "FILE.png");
  flags.add("input", request->input,
            "for a model with a condition: the picture to draw from, or a folder or an archive of "
            "pictures; --n then counts the outputs of each (1), and --each keeps the names",
            "FILE|DIR|ARCHIVE");
  flags.add_fields(request->generate);
  flags.add(
      "class", request->classes,
      "draw --n of each of these classes, one row each: names, or numbers such as #3; all, none",
      "NAME,NAME,...");
  request->guide.declare(flags);
  flags.add("size", request->size, "size of the pictures, if not that of the training", "N|HxW");
  flags.add("columns", request->columns,
            "columns of the grid, 0 for a nearly square grid; with --input, of inputs beside their "
            "outputs");
  flags.add("scale", request->scale,
            "every pixel of the grid becomes N x N pixels, 0 for a convenient size");
  flags.add("tensors", request->tensors,
            "file for the pictures x [N, C, H, W] in float32, before they are rounded to bytes",
            "FILE.safetensors");
  flags.add("every-step", request->every_step,
            "add trajectory [steps + 1, N, C, H, W] to --tensors: the start, and the state after "
            "each evaluation");
  flags.add("noise", request->noise,
            "file with noise [N, C, H, W] to start from, or [draws, N, C, H, W] in the order of "
            "use, of standard normal numbers, in place of that of --seed; --n is then N",
            "FILE.safetensors");
  request->machine.declare(flags);
  request->model.declare(flags);
  list_samplers(flags);
  list_drawing_ranks(flags, "sample");
  return [request, &flags] { return run(*request, flags); };
}

}  // namespace ddpm::cli
