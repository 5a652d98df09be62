// ddpm info: shows the configuration of a model file, or of the network that flags of `ddpm train`
// would create, the cost of running and training it, and the memory of this machine.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <cstddef>
#include <filesystem>
#include <optional>

#include "apps/cli/classes.h"
#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/output.h"
#include "apps/cli/picture_recipe.h"
#include "apps/cli/training_flags.h"
#include "ddpm/base/error.h"
#include "ddpm/base/memory.h"
#include "ddpm/base/options.h"
#include "ddpm/base/text.h"
#include "ddpm/data/pixels.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/engine/cost.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/step_files.h"

namespace ddpm::cli {
namespace {

struct Request {
  std::string model;
  // As in ddpm train.
  TrainingFlags training;
  std::string run;
  bool json = false;
};

struct Report {
  // Empty if the network exists only as flags.
  std::string path;
  // -1 if unknown.
  int64_t trained_steps = -1;
  // Whether MODEL is a run, and the steps that RUN@STEP can name.
  bool is_run = false;
  std::vector<int64_t> snapshots, checkpoints;
  // The configuration in the file.
  ModelConfig config;
  // The size of the pictures for which the costs are computed.
  ImageSize size;
  int64_t batch = 0;
  Cost cost;
  // Whose training_bytes and recompute_bytes are for these options.
  RunMemoryOptions asked;
  AvailableMemory available;
};

// The size of the pictures: the one asked for, or that of the training, or one that the network
// takes.
ImageSize image_size(const Flags& flags, const TrainOptions& options, const ModelConfig& config) {
  if (flags.given("size")) return parse_image_size(options.data.size);
  if (config.height > 0 && config.width > 0) return {config.height, config.width};
  const int64_t divisor = config.network.side_divisor();
  const int64_t side = (32 + divisor - 1) / divisor * divisor;
  return {side, side};
}

ModelConfig with_size(const Report& report) {
  ModelConfig config = report.config;
  config.height = report.size.height;
  config.width = report.size.width;
  return config;
}

std::vector<int64_t> steps_of(const std::vector<StepFile>& files) {
  std::vector<int64_t> steps;
  for (const StepFile& file : files) steps.push_back(file.step);
  return steps;
}

// At most so many, the newest. Nothing if there are none.
void print_steps(const char* what, const std::vector<int64_t>& steps) {
  constexpr size_t kNamed = 20;
  if (steps.empty()) return;
  const size_t first = steps.size() > kNamed ? steps.size() - kNamed : 0;
  const std::string more = first > 0 ? fmt::format(" (the newest of {})", steps.size()) : "";
  print(fmt::format(
      "  {:<28}{}{}\n", what,
      fmt::join(steps.begin() + static_cast<std::ptrdiff_t>(first), steps.end(), ", "), more));
}

void print_text(const Report& report) {
  print(report.path.empty() ? "the network of these flags, untrained\n"
                            : fmt::format("{}\n", printable(report.path)));
  if (report.trained_steps >= 0)
    print(fmt::format("  {:<28}{}\n", "trained steps", report.trained_steps));
  print_steps("snapshots of steps", report.snapshots);
  print_steps("checkpoints of steps", report.checkpoints);
  JsonObject options;
  write_options(report.config, options);
  for (const auto& [name, value] : options.members())
    print(fmt::format("  {:<28}{}\n", name, value));
  if (report.config.network.classes() > 0) {
    constexpr size_t kNamed = 100;
    print(fmt::format("  {:<28}{}\n", "class_names", class_list(report.config, kNamed, true)));
  }
  const Cost& cost = report.cost;
  print(fmt::format("  {:<28}{} ({})\n", "parameters",
                    short_number(static_cast<double>(cost.parameters)), cost.parameters));
  print(fmt::format("  for pictures of {}x{}:\n", report.size.height, report.size.width));
  print(fmt::format("  {:<28}{} per picture\n", "forward pass",
                    short_number(cost.forward_flops, "FLOP")));
  const auto memory = [&](const char* what, int64_t bytes) {
    print(fmt::format("  {:<28}{} at batch {}\n", what, memory_text(bytes), report.batch));
  };
  memory("memory for sampling", cost.sampling_bytes);
  if (cost.guided_bytes > 0) memory("  with --guidance", cost.guided_bytes);
  if (cost.training_bytes > 0) {
    memory("memory for training", cost.training_bytes);
    if (cost.recompute_bytes != cost.training_bytes)
      memory("  with --recompute", cost.recompute_bytes);
    const auto values = static_cast<double>(report.size.height * report.size.width *
                                            report.config.network.channels());
    print(fmt::format("  {:<28}{} per picture\n", "  and for the data", memory_text(values)));
  }
  print(fmt::format("  {:<28}{} ({})\n", "memory available", memory_text(report.available.bytes),
                    printable(report.available.limit)));
  if (cost.training_bytes == 0) return;
  try {
    require_memory_for_run(with_size(report), report.asked, 0);
  } catch (const UsageError& error) {
    print(fmt::format("  {}\n", error.what()));
  }
}

void print_json(const Report& report) {
  const Cost& cost = report.cost;
  JsonObject object;
  object.set("path", report.path.empty() ? "null" : json_value::write(report.path));
  object.set("config", to_json(report.config));
  object.set("trained_steps",
             report.trained_steps >= 0 ? json_value::write(report.trained_steps) : "null");
  if (report.is_run) {
    object.set("snapshots", json_value::write(report.snapshots));
    object.set("checkpoints", json_value::write(report.checkpoints));
  }
  object.set("parameters", json_value::write(cost.parameters));
  object.set("height", json_value::write(report.size.height));
  object.set("width", json_value::write(report.size.width));
  object.set("batch", json_value::write(report.batch));
  object.set("forward_flops", json_value::write(cost.forward_flops));
  object.set("sampling_bytes", json_value::write(cost.sampling_bytes));
  if (cost.guided_bytes > 0) object.set("guided_bytes", json_value::write(cost.guided_bytes));
  object.set("training_bytes", json_value::write(cost.training_bytes));
  object.set("recompute_bytes", json_value::write(cost.recompute_bytes));
  object.set("available_bytes", json_value::write(report.available.bytes));
  object.set("available_limit", json_value::write(report.available.limit));
  print(printable_json(object.dump()) + "\n");
}

// A file describes its network, so flags may give only what the file can leave open.
void read_model(Request& request, const Flags& flags, Report& report) {
  TrainOptions& options = request.training.options;
  if (std::filesystem::is_directory(request.model) && holds_run(request.model)) {
    try {
      options = read_run_options(request.model);
      flags.apply();
    } catch (const Error&) {
      // Without its options, the memory is that of the defaults.
    }
  }
  std::vector<std::string> describing = {"channels", "condition", "config",    "classes",
                                         "labels",   "recipe",    "model-size"};
  for (const Field& field : fields_of(options.network)) {
    if (field.in_state_dict()) describing.push_back(flag_name(field.name()));
  }
  for (const std::string& name : describing) {
    if (!flags.given(name)) continue;
    fail_usage("info",
               fmt::format("--{} describes a network, and so does MODEL ({}); leave one out", name,
                           request.model));
  }
  const Model model = load_model(request.model, Device::kDry, given_fields(flags, options));
  report.path = model.path;
  report.is_run = std::filesystem::is_directory(request.model);
  if (report.is_run) {
    report.snapshots = steps_of(list_snapshots(request.model));
    report.checkpoints = steps_of(list_checkpoints(request.model));
  }
  report.trained_steps = model.trained_steps;
  report.config = model.config;
}

void read_options_of_training(Request& request, const Flags& flags, Report& report) {
  TrainOptions& options = request.training.options;
  bool any = !request.run.empty() || flags.given("config") || flags.given("model-size");
  for (const Field& field : fields_of(options)) any = any || flags.given(flag_name(field.name()));
  if (!any) {
    fail_usage("info",
               "no network given; give MODEL, or flags of ddpm train such as --dim 32 --size 64");
  }
  request.training.apply_to_new(flags);
  options.check();
  int64_t channels = 3;
  if (options.data.channels == "1") channels = 1;
  if (options.data.channels == "4") channels = 4;
  if (channels == 3 && options.data.channels != "3" && options.data.channels != "auto") {
    fail_usage("info", fmt::format("--channels is {}; choose 1, 3, 4 or auto (counted as 3)",
                                   options.data.channels));
  }
  const ImageSize size = parse_image_size(options.data.size);
  report.config = options.model_config(size.height, size.width, channels);
  report.config.check();
  if (options.data.wants_classes()) {
    say("ddpm: [info] the pictures are not read here, so their classes are not counted; they add "
        "little\n");
  }
}

// How a PNG file of ddpm sample was made.
int show_recipe(const Request& request) {
  const std::optional<JsonObject> recipe = recipe_in(request.model);
  if (!recipe) {
    fail_usage("info", fmt::format("{} does not say how it was made; PNG files of ddpm sample do",
                                   request.model));
  }
  if (request.json) {
    print(printable_json(recipe->dump()) + "\n");
    return 0;
  }
  print(fmt::format("{}\n", printable(request.model)));
  for (const auto& [name, value] : recipe->members())
    print(fmt::format("  {:<28}{}\n", printable(name), printable(value)));
  return 0;
}

// The largest resident set of `ddpm train`, without its pictures.
void estimate_training(const TrainOptions& options, const ModelConfig& config, Report& report) {
  RunMemoryOptions& asked = report.asked;
  asked = {
      .optimizer = options.optimizer, .run = options.run, .validates = options.data.validation > 0};
  // ddpm train also loads the library that decodes pictures.
  constexpr int64_t kLibrary = 25'000'000;
  const int64_t process = process_memory().resident + kLibrary;
  const auto peak = [&](bool recompute) {
    RunMemoryOptions changed = asked;
    changed.optimizer.recompute = recompute;
    return process + run_memory(config, changed).total();
  };
  report.cost.training_bytes = peak(asked.optimizer.recompute);
  report.cost.recompute_bytes = peak(true);
}

int run(Request& request, const Flags& flags) {
  if (std::filesystem::path(request.model).extension() == ".png") return show_recipe(request);
  Report report;
  if (request.model.empty()) {
    read_options_of_training(request, flags, report);
  } else {
    read_model(request, flags, report);
  }
  const TrainOptions& options = request.training.options;
  report.batch = options.optimizer.batch;
  check_range("info", "--batch", report.batch, 1, kMostBatch);
  report.size = image_size(flags, options, report.config);
  ModelConfig config = report.config;
  config.height = report.size.height;
  config.width = report.size.width;
  report.cost = estimate_cost(config, report.batch);
  if (report.cost.training_bytes > 0) estimate_training(options, config, report);
  report.available = available_memory();
  (request.json ? print_json : print_text)(report);
  return 0;
}

}  // namespace

Action info_command(Flags& flags) {
  const auto request = std::make_shared<Request>();
  flags.positional("MODEL", request->model,
                   std::string(kModelHelp) +
                       ", or a PNG of ddpm sample, to show how it was made; without it the flags "
                       "of ddpm train describe a network that is not "
                       "trained yet",
                   false);
  flags.add("json", request->json,
            "print one JSON object; forward_flops is for one picture, memory is in bytes");
  flags.group("As in ddpm train");
  request->training.declare_config(flags, "JSON with options as keys, such as a run's config.json");
  flags.add("out", request->run, "ignored, so that all flags of a ddpm train command can be used",
            "RUN");
  request->training.declare(flags);
  flags.group("Flags");
  return [request, &flags] { return run(*request, flags); };
}

}  // namespace ddpm::cli
