#include "apps/cli/eval_sets.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "apps/cli/common.h"
#include "apps/cli/output.h"
#include "apps/cli/progress.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/text.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/input_pictures.h"
#include "ddpm/data/source_pairs.h"
#include "ddpm/nn/network.h"

namespace ddpm::cli {
namespace {

// Loads a source and shows progress.
LoadedPictures load(const std::string& source, const ImageCondition& condition,
                    const SourceOptions& options) {
  Progress progress("picture");
  LoadedPictures loaded =
      load_pictures(source, condition, options,
                    [&](int64_t done, int64_t total) { progress.update(done, total, "reading"); });
  progress.finish();
  report_skipped(loaded.report, source);
  return loaded;
}

// The real pictures. `tries_classes`: with their classes if the source has some.
std::shared_ptr<const Pictures> load_data(const SetFlags& flags, const ImageCondition& condition,
                                          SourceOptions options, bool tries_classes,
                                          std::vector<std::string>& notes) {
  const auto pictures = [&] {
    const LoadedPictures loaded = load(flags.data, condition, options);
    return condition.computed() ? with_condition(loaded.pictures, condition) : loaded.pictures;
  };
  const bool needs_classes = flags.classes || flags.needs_classes;
  options.labels = flags.labels;
  options.classes = flags.labels.empty() && (needs_classes || tries_classes);
  if (!options.classes || needs_classes) return pictures();
  try {
    return pictures();
  } catch (const UsageError& error) {
    options.classes = false;
    const std::shared_ptr<const Pictures> loaded = pictures();
    notes.push_back(fmt::format("no figures of classes: {}", without_place(error.what())));
    return loaded;
  }
}

ImageCondition condition_for(const SetFlags& flags, const ModelConfig& config) {
  ImageCondition condition = condition_of_model(config.condition);
  if (condition.kind != ImageCondition::Kind::kPairs) {
    if (flags.condition.empty()) return condition;
    fail_usage("data", fmt::format("--condition is for models of pairs; this one has condition {}",
                                   config.condition));
  }
  if (flags.condition.empty()) {
    fail_usage("data", "the model draws from other pictures; give their folder with --condition");
  }
  condition.folder = flags.condition;
  return condition;
}

// The size of the first picture, if no other is asked for.
ImageSize size_of(const std::string& source, const SetFlags& flags) {
  if (!flags.size.empty()) return parse_image_size(flags.size);
  if (!is_folder_source(source) && !is_archive_source(source)) return {};
  std::string path = source;
  for (const std::string_view prefix : {"folder:", "archive:"})
    if (source.starts_with(prefix)) path = source.substr(prefix.size());
  const Tensor first = InputPictures(path).load(0);
  return {first.size(0), first.size(1)};
}

}  // namespace

void SetFlags::declare(Flags& flags) {
  flags.group("Pictures");
  flags.add("size", size,
            "size of all pictures, if not that of the model or of the first picture of a folder or "
            "archive",
            "N|HxW");
  flags.add(
      "channels", channels,
      "of two sets of pictures: 1 grey, 3 RGB, 4 RGBA, or auto: the fewest that hold the pictures",
      "1|3|4|auto");
  flags.add("background", background,
            "colour behind transparent pixels: white, black, grey or #rrggbb; if not that of the "
            "model's training, or white",
            "COLOUR");
  flags.add("fit", fit, "of two sets of pictures, as in ddpm train", "cover|contain|pad");
  flags.add("classes", classes, "also compare the pictures of each class, as in ddpm train");
  flags.add("labels", labels, "table of file names and classes of the real pictures", "FILE.csv");
  flags.add("condition", condition,
            "for a model that draws from other pictures: the folder of those that go with SOURCE",
            "DIR");
}

void report_skipped(const LoadReport& report, const std::string& source) {
  const auto skipped = std::ssize(report.skipped);
  if (skipped == 0) return;
  say(fmt::format("skipped {} file{} of {}; 'ddpm data' lists all\n", skipped, plural(skipped),
                  printable(source)));
}

bool names_pictures(const std::string& path) {
  for (const char* kind : {"folder:", "archive:", "mnist:", "cifar10:", "emoji:"})
    if (path.starts_with(kind)) return true;
  const std::optional<FileStatus> status = find_file(path);
  if (!status) return path == "emoji";
  if (looks_like_archive(path)) return true;
  if (status->type != FileType::kFolder) return false;
  // A run has one of these.
  for (const char* name : {"/model.safetensors", "/checkpoints", "/config.json"})
    if (exists(path + name)) return false;
  return true;
}

void set_size(const Model& model, const SetFlags& flags, GenerateOptions& generate) {
  const ModelConfig& config = model.config;
  const ImageSize size =
      flags.size.empty() ? ImageSize{config.height, config.width} : parse_image_size(flags.size);
  if (size.height < 1 || size.width < 1) {
    fail_usage("eval", "the model's file does not say how large its pictures are; give --size");
  }
  config.network.check_image(size.height, size.width);
  generate.height = size.height;
  generate.width = size.width;
}

std::shared_ptr<const Pictures> real_pictures(const ModelConfig& config, const SetFlags& flags,
                                              ImageSize size, std::vector<std::string>& notes) {
  const SourceOptions options{
      .size = size,
      .channels = std::to_string(config.network.channels()),
      .background = flags.background.empty() ? config.background : flags.background,
      .fit = config.fit};
  return load_data(flags, condition_for(flags, config), options, config.network.classes() > 0,
                   notes);
}

Sets sets_of_model(const Model& model, const SetFlags& flags, const GenerateOptions& generate) {
  const ModelConfig& config = model.config;
  Sets sets;
  sets.real = real_pictures(config, flags, {generate.height, generate.width}, sets.notes);
  sets.judged = drawn_pictures(*model.network, config, generate, sets.real);
  return sets;
}

Sets sets_of_pictures(const std::string& source, const SetFlags& flags, int64_t n) {
  SourceOptions options{.size = size_of(source, flags),
                        .channels = flags.channels,
                        .background = flags.background.empty() ? "white" : flags.background,
                        .classes = flags.classes,
                        .fit = flags.fit};
  LoadedPictures judged = load(source, {}, options);
  options.size = judged.pictures->image_size();
  Sets sets;
  sets.real = load_data(flags, {}, options, false, sets.notes);
  const int64_t channels = std::max(judged.pictures->channels(), sets.real->channels());
  if (judged.pictures->channels() < channels) {
    options.channels = std::to_string(channels);
    judged = load(source, {}, options);
  } else if (sets.real->channels() < channels) {
    options.channels = std::to_string(channels);
    sets.real = load_data(flags, {}, options, false, sets.notes);
  }
  sets.judged = judged_pictures(judged.pictures, std::min(n, judged.pictures->size()));
  return sets;
}

}  // namespace ddpm::cli
