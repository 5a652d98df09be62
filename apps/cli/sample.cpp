// ddpm sample: writes new pictures as a grid, as single files, and as an animation of the
// denoising.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "apps/cli/classes.h"
#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/guide_flags.h"
#include "apps/cli/inputs.h"
#include "apps/cli/output.h"
#include "apps/cli/outputs.h"
#include "apps/cli/progress.h"
#include "apps/cli/trajectory.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/text.h"
#include "ddpm/data/image.h"
#include "ddpm/data/pixels.h"
#include "ddpm/diffusion/guidance.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/diffusion/spacing.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/memory_check.h"

namespace ddpm::cli {
namespace {

struct Request {
  ModelFlags model;
  GuideFlags guide;
  Machine machine;
  GenerateOptions generate;
  std::string size, classes, out, each, trajectory, input;
  int64_t columns = 0;
  int64_t scale = 0;
};

// Throws UsageError if one output would overwrite another, or an input.
void check_overlaps(const Request& request, const PictureFolder& each, const Inputs* inputs) {
  if (inputs != nullptr) {
    if (!request.out.empty()) inputs->refuse_to_overwrite(request.out);
    if (!request.trajectory.empty()) inputs->refuse_to_overwrite(request.trajectory);
    // Outputs keep the names of the inputs, also those in folders inside.
    const std::string& folder = inputs->folder();
    if (!request.each.empty() && same_file(request.each, folder)) {
      fail_usage("sample", fmt::format("--each {} is the folder of the inputs; choose another, so "
                                       "that none is overwritten",
                                       request.each));
    }
    if (!request.each.empty() && (lies_inside(request.each, request.input) ||
                                  (std::filesystem::is_directory(request.input) &&
                                   lies_inside(request.input, request.each)))) {
      fail_usage("sample", fmt::format("of --each {} and the folder of the inputs, one lies inside "
                                       "the other; choose another, so that none is overwritten",
                                       request.each));
    }
  }
  if (request.each.empty()) return;
  if (!request.out.empty() && (each.holds(request.out) || same_file(request.each, request.out))) {
    fail_usage("sample", fmt::format("--out {} would be one of the files of --each {}; choose "
                                     "another name",
                                     request.out, request.each));
  }
}

void check(const Request& request, const Flags& flags) {
  if (request.out.empty() && request.each.empty() && request.trajectory.empty()) {
    fail_usage("sample",
               "no output for the pictures; give --out grid.png, --each DIR or --trajectory "
               "t.webp");
  }
  if (flags.given("steps") && request.generate.sampling.steps < 1) {
    fail_usage("sample", fmt::format("--steps is {}; it must be at least 1",
                                     request.generate.sampling.steps));
  }
  request.generate.check();
  check_range("sample", "--columns", request.columns, 0, 1'000'000);
  check_range("sample", "--scale", request.scale, 0, kMostScale);
  if (!request.out.empty()) check_output_name(request.out, "--out", ".png");
  if (!request.trajectory.empty()) {
    check_output_name(request.trajectory, "--trajectory", ".webp");
  }
  if (request.input.empty()) {
    check_overlaps(request, PictureFolder(request.each, request.generate.count), nullptr);
  }
}

// How the pictures are laid out.
struct Layouts {
  // In the order of generate(): of the animation, and of the grid if there are no inputs.
  GridOptions plain;
  // Of the grid with each input before its outputs.
  GridOptions beside;
  // What the grid shows, inputs included, and its channels.
  int64_t shown = 0;
  int64_t channels = 0;
  const GridOptions& grid(const Inputs* inputs) const { return inputs ? beside : plain; }
};

// One row for each class of --class. Without --class, one column for each class.
int64_t columns_for(const Request& request, const ModelConfig& config) {
  constexpr int64_t kMostColumns = 20;
  if (request.columns > 0) return request.columns;
  const GenerateOptions& options = request.generate;
  if (!options.labels.empty()) return options.labels.size() > 1 ? options.count : 0;
  const int64_t classes = config.network.classes();
  return classes > 1 && classes <= std::min(kMostColumns, options.count) ? classes : 0;
}

Layouts lay_out(const Request& request, const ModelConfig& config, const Shape& image,
                const Inputs* inputs) {
  Layouts layouts;
  layouts.plain = {.columns = columns_for(request, config),
                   .scale = request.scale > 0 ? request.scale
                                              : comfortable_scale(ImageSize{image[0], image[1]})};
  layouts.beside = layouts.plain;
  layouts.shown = request.generate.total();
  layouts.channels = image[2];
  if (inputs == nullptr) return layouts;
  const int64_t group = 1 + layouts.shown / inputs->count();
  layouts.shown += inputs->count();
  layouts.channels = std::max(image[2], inputs->viewable_channels());
  layouts.beside.columns =
      request.columns > 0 ? request.columns * group : columns_of_groups(inputs->count(), group);
  return layouts;
}

// All output files. They are opened before the first step.
class Outputs {
 public:
  Outputs(const Request& request, const Layouts& layouts, Shape image, int64_t frames,
          const Inputs* inputs)
      : request_(request),
        layouts_(layouts),
        image_(image),
        inputs_(inputs),
        each_(request.each, request.generate.total(),
              inputs ? inputs->output_names(request.generate.total() / inputs->count())
                     : std::vector<std::string>()) {
    const ImageSize picture{image[0], image[1]};
    const int64_t count = request.generate.total();
    check_overlaps(request, each_, inputs);
    if (!request.out.empty()) {
      const ImageSize size = grid_size(layouts.shown, picture, layouts.grid(inputs));
      check_picture_output("--out", size, kMostPngSide, memory_of(size, layouts.channels));
    }
    if (!request.trajectory.empty()) {
      const ImageSize size = grid_size(count, picture, layouts.plain);
      const double states = static_cast<double>(image.elements()) * static_cast<double>(count);
      check_picture_output("--trajectory", size, kMostWebpSide,
                           static_cast<double>(frames) * (states + memory_of(size, image[2])));
    }
    if (!request.each.empty()) each_.open();
    if (!request.out.empty()) out_ = std::make_unique<OutputFile>(request.out);
    if (!request.trajectory.empty()) film_ = std::make_unique<OutputFile>(request.trajectory);
  }

  // pictures: [N, H, W, C]; conditions: [I, H, W, C], or none without inputs. If a file cannot be
  // written, the others are still written before it throws.
  void write(const Tensor& pictures, const Tensor& conditions,
             const std::optional<Trajectory>& trajectory) {
    if (out_) {
      attempt([&] {
        const Tensor shown = inputs_ ? beside_conditions(conditions, pictures) : pictures;
        out_->write(encode_png(make_grid(shown, layouts_.grid(inputs_))));
        print(fmt::format("wrote {}\n", printable(request_.out)));
      });
    }
    if (!request_.each.empty()) attempt([&] { write_each(pictures); });
    if (film_) {
      attempt([&] {
        film_->write(trajectory->encode(layouts_.plain));
        print(fmt::format("wrote {}\n", printable(request_.trajectory)));
      });
    }
    if (!failure_.empty()) {
      throw Error(failure_ + "; once this is fixed, the same command makes the same pictures");
    }
  }

 private:
  template <class Work>
  void attempt(const Work& work) {
    try {
      work();
    } catch (const Error& error) {
      if (failure_.empty()) failure_ = error.what();
    }
  }

  void write_each(const Tensor& pictures) {
    const int64_t count = pictures.size(0);
    for (int64_t k = 0; k < count; ++k) {
      each_.write(k, pictures.rows(k, k + 1).reshape(image_));
    }
    print(fmt::format("wrote {} picture{} into {}\n", count, plural(count),
                      printable(request_.each)));
  }

  const Request& request_;
  const Layouts layouts_;
  const Shape image_;  // [H, W, C]
  const Inputs* inputs_;
  PictureFolder each_;
  std::unique_ptr<OutputFile> out_, film_;
  // The first failure.
  std::string failure_;
};

// Sets the size (that of the inputs, the one asked for, or that of the training) and the steps
// (those asked for, or the sampler's default).
void complete(const Request& request, const ModelConfig& config, const Inputs* inputs,
              GenerateOptions& options) {
  const ImageSize size = inputs                 ? inputs->size()
                         : request.size.empty() ? ImageSize{config.height, config.width}
                                                : parse_image_size(request.size);
  if (size.height < 1 || size.width < 1) {
    fail_usage("sample", "the model's file does not say how large its pictures are; give --size");
  }
  config.network.check_image(size.height, size.width);
  options.height = size.height;
  options.width = size.width;
  options.sampling = completed(options.sampling, Process(config.process), config.tuned);
  const int64_t channels = config.network.channels();
  if (channels != 1 && channels != 3 && channels != 4) {
    fail("sample", fmt::format("the model makes pictures of {} channels; pictures can be written "
                               "with 1, 3 or 4",
                               channels));
  }
}

// The memory of the grid and the animation, in addition to the pictures themselves.
int64_t bytes_of_files(const Request& request, const Layouts& layouts, const Shape& image,
                       const Inputs* inputs) {
  constexpr double kMost = 1e18;
  const ImageSize picture{image[0], image[1]};
  const int64_t count = request.generate.total();
  double bytes = 0;
  if (!request.out.empty()) {
    bytes += memory_of(grid_size(layouts.shown, picture, layouts.grid(inputs)), layouts.channels);
  }
  if (!request.trajectory.empty()) {
    const double states = static_cast<double>(image.elements()) * static_cast<double>(count);
    const double one = memory_of(grid_size(count, picture, layouts.plain), image[2]);
    bytes +=
        static_cast<double>(Trajectory::frames(request.generate.sampling.steps)) * (states + one);
  }
  return static_cast<int64_t>(std::min(bytes, kMost));
}

// The inputs of a model that needs some; null for one that needs none. With them --n counts the
// outputs of each, one if it is not given.
std::unique_ptr<const Inputs> open_inputs(Request& request, const Flags& flags,
                                          const ModelConfig& config) {
  if (request.input.empty()) {
    if (config.condition == "none") return nullptr;
    fail_usage("sample", fmt::format("the model draws from pictures (condition {}); give --input "
                                     "with a picture or a folder of them",
                                     config.condition));
  }
  const ImageSize size = request.size.empty() ? ImageSize{} : parse_image_size(request.size);
  auto inputs = std::make_unique<const Inputs>(request.input, config, size);
  if (!flags.given("n")) request.generate.count = 1;
  request.generate.count *= inputs->count();
  request.generate.check();
  return inputs;
}

// Conditions [I, H, W, C], bytes, for `count` pictures: floats [count, H, W, C].
Tensor conditions_for(const Tensor& conditions, int64_t count) {
  const Shape& shape = conditions.shape();
  const Tensor once = to_floats(conditions);
  if (shape[0] == count || shape[0] == 1) return once;
  Tensor all({count, shape[1], shape[2], shape[3]});
  for (int64_t begin = 0; begin < count; begin += shape[0]) {
    Tensor rows = all.rows(begin, begin + shape[0]);
    rows.copy_from(once);
  }
  return all;
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

int run(Request& request, const Flags& flags) {
  const Device device = request.machine.apply();
  check(request, flags);
  const Model model = request.model.load(flags, device);
  const std::unique_ptr<const Inputs> inputs = open_inputs(request, flags, model.config);
  GenerateOptions& options = request.generate;
  if (!request.classes.empty()) options.labels = parse_classes(request.classes, model.config);
  const std::unique_ptr<const Model> guide = request.guide.load(flags, device, options);
  complete(request, model.config, inputs.get(), options);
  if (inputs && request.size.empty()) warn_of_large(model.config, inputs->size());

  const Shape image = {options.height, options.width, model.config.network.channels()};
  const Layouts layouts = lay_out(request, model.config, image, inputs.get());
  const int64_t total = options.total();
  Outputs outputs(request, layouts, image, Trajectory::frames(options.sampling.steps),
                  inputs.get());
  require_memory_for_sampling(
      model.config, {.count = total,
                     .batch = options.batch,
                     .height = options.height,
                     .width = options.width,
                     .prepare_weights = options.prepare_weights,
                     .other_bytes = bytes_of_files(request, layouts, image, inputs.get()),
                     .guided = Guidance{.scale = options.guidance}.needs_both(),
                     .guide = guide ? &guide->config : nullptr,
                     .images_per_n = total / (options.count / (inputs ? inputs->count() : 1))});
  Tensor conditions;  // [I, H, W, C], bytes
  if (inputs) {
    conditions = inputs->conditions();
    options.condition = conditions_for(conditions, options.count);
  }
  options.check_for(model.config);
  warn_of_idle_guidance(flags, options, model);
  std::optional<Trajectory> trajectory;
  if (!request.trajectory.empty()) {
    trajectory.emplace(options.sampling.steps,
                       Shape{total, options.height, options.width, image[2]});
  }
  Progress progress("step");
  const int64_t batches = total / options.batch + (total % options.batch != 0);
  // Drawn before the first step, because a step of large pictures takes long.
  progress.update(0, batches * options.sampling.steps);
  options.progress = [&](const GenerateProgress& now) {
    if (trajectory) {
      trajectory->add(now.step, now.begin, *now.x);
    }
    progress.update(now.begin / options.batch * now.steps + now.step, batches * now.steps);
    return true;
  };
  const Tensor pictures = to_bytes(generate(*model.network, model.config, options));
  progress.finish();
  if (!options.labels.empty()) print_classes(model.config, options);
  outputs.write(pictures, conditions, trajectory);
  return 0;
}

}  // namespace

Action sample_command(Flags& flags) {
  const auto request = std::make_shared<Request>();
  flags.add("out", request->out, "file for all pictures in one grid", "FILE.png");
  flags.add("each", request->each, "folder for single pictures: DIR/00000.png, ...", "DIR");
  flags.add("trajectory", request->trajectory, "file for an animation from noise to pictures",
            "FILE.webp");
  flags.add("input", request->input,
            "for a model with a condition: the picture to draw from, or a folder of pictures; --n "
            "then counts the outputs of each (1), and --each keeps the names",
            "FILE|DIR");
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
  request->machine.declare(flags);
  request->model.declare(flags);
  std::vector<std::pair<std::string, std::string>> samplers;
  for (const SamplerKind& kind : sampler_kinds()) samplers.emplace_back(kind.name, kind.help);
  flags.list("Samplers", samplers);
  std::vector<std::pair<std::string, std::string>> spacings;
  for (const SpacingKind& kind : spacing_kinds()) spacings.emplace_back(kind.name, kind.help);
  flags.list("Spacings", spacings);
  return [request, &flags] { return run(*request, flags); };
}

}  // namespace ddpm::cli
