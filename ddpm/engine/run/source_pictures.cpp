// pictures_from_source() of run.h.
#include <fmt/core.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/comm/messages.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/source.h"
#include "ddpm/data/source_pairs.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/run/run.h"

namespace ddpm {
namespace {

[[noreturn]] void fail_no_source(const PictureRequest& request) {
  if (request.resumed) {
    fail_usage("train", fmt::format("the pictures of {} came from a program; resume it with that "
                                    "program, or give the place of the pictures with --data",
                                    request.directory));
  }
  fail_usage(
      "train",
      "no data given; give --data a folder of pictures, or for a first try emoji:smileys-emotion");
}

// A run finds its pictures by their path, and its own directory must not be that path. `flag` gives
// the path.
void check_place(const PictureRequest& request, const std::string& source, const char* flag) {
  const size_t slash = source.find('/');
  // The emoji have no path.
  if (slash == std::string::npos) return;
  const std::string place = source.substr(slash);
  const std::optional<FileStatus> found = find_file(place);
  if (!found) {
    // load_source() reports what it looked for.
    if (!request.resumed) return;
    fail("train",
         fmt::format("the pictures of {} are no longer at {}; give their new place with {}",
                     request.directory, place, flag));
  }
  if (!request.directory.empty() && found->identity == file_status(request.directory).identity) {
    fail_usage("train", fmt::format("{0} holds the pictures, so it cannot be the run's directory; "
                                    "choose one of its own, such as {1}",
                                    request.directory, in_run(request.directory, "run")));
  }
}

}  // namespace

PictureLoader pictures_from_source(SourceEvents events, bool usable_classes) {
  return [events = std::move(events),
          usable_classes](const PictureRequest& request) -> std::shared_ptr<const Pictures> {
    DataOptions& options = request.options;
    if (options.source.empty()) fail_no_source(request);
    options.source = absolute_source(options.source);
    check_place(request, options.source, "--data");
    if (!options.labels.empty())
      options.labels = std::filesystem::absolute(options.labels).lexically_normal().string();
    ImageCondition condition = parse_condition(options.condition);
    if (condition.kind == ImageCondition::Kind::kPairs) {
      const std::string prefix = "folder:";
      condition.folder = absolute_source(prefix + condition.folder).substr(prefix.size());
      options.condition = condition.folder;
      check_place(request, options.condition, "--condition");
    }
    const bool wanted =
        request.ranks == nullptr ? usable_classes : broadcast_value(*request.ranks, usable_classes);
    const bool if_usable = wanted && !request.resumed && !options.wants_classes() &&
                           condition.kind == ImageCondition::Kind::kNone;
    LoadedPictures loaded = load_pictures(options.source, condition,
                                          {.size = parse_image_size(options.size),
                                           .channels = options.channels,
                                           .background = options.background,
                                           .known = &request.known,
                                           .classes = options.classes,
                                           .usable_classes = if_usable,
                                           .labels = options.labels,
                                           .fit = options.fit,
                                           .crop = options.crop,
                                           .stream = options.stream,
                                           .index = &request.index,
                                           .ranks = request.ranks},
                                          events.loading);
    request.index = std::move(loaded.index);
    if (if_usable) options.classes = !loaded.pictures->class_names().empty();
    if (events.loaded) events.loaded(loaded.report, *loaded.pictures);
    return loaded.pictures;
  };
}

}  // namespace ddpm
