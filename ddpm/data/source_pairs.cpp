#include "ddpm/data/source_pairs.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/data/paired_pictures.h"
#include "ddpm/data/source_classes.h"
#include "ddpm/data/source_files.h"

namespace ddpm {
namespace {

// What partners have in common.
std::string stem_of(const std::string& name) {
  return std::filesystem::path(name).replace_extension().string();
}

// The pictures of a folder by the stems of their names.
std::map<std::string, int64_t> by_stem(const std::string& folder, const DataFingerprint& files) {
  std::map<std::string, int64_t> found;
  for (size_t i = 0; i < files.files.size(); ++i) {
    const std::string& name = files.files[i].name;
    const auto [place, added] = found.emplace(stem_of(name), static_cast<int64_t>(i));
    if (added) continue;
    fail_usage("condition",
               fmt::format("{} holds {} and {}, which differ in their extension alone; "
                           "partners are known by the rest of the name, so one of "
                           "them must go",
                           folder, files.files[static_cast<size_t>(place->second)].name, name));
  }
  return found;
}

struct Folder {
  std::string path;
  LoadedPictures loaded;
  DataFingerprint files;
  std::map<std::string, int64_t> stems;
};

Folder load_folder(const std::string& source, const SourceOptions& options,
                   const LoadProgress& progress) {
  Folder folder{source, open_source(source, options, progress), {}, {}};
  for (SourceFile& file : folder.loaded.pictures->fingerprint().files) {
    if (!is_class_entry(file)) folder.files.files.push_back(std::move(file));
  }
  folder.stems = by_stem(folder.loaded.pictures->name(), folder.files);
  return folder;
}

void skip_lonely(const Folder& of, const Folder& other, std::vector<SkippedFile>& skipped) {
  for (const auto& [stem, index] : of.stems) {
    if (other.stems.contains(stem)) continue;
    skipped.push_back(
        {join_path(of.loaded.pictures->name(), of.files.files[static_cast<size_t>(index)].name),
         fmt::format("no picture {}.* in {}", stem, other.loaded.pictures->name())});
  }
}

LoadReport report_of(const Folder& pictures, const Folder& conditions, int64_t pairs) {
  LoadReport report = pictures.loaded.report;
  const LoadReport& other = conditions.loaded.report;
  report.loaded = pairs;
  report.skipped.insert(report.skipped.end(), other.skipped.begin(), other.skipped.end());
  skip_lonely(pictures, conditions, report.skipped);
  skip_lonely(conditions, pictures, report.skipped);
  const int64_t channels = conditions.loaded.pictures->channels();
  if (!report.note.empty()) report.note += "; ";
  report.note += fmt::format("each with its condition of {} channel{} from {}", channels,
                             channels == 1 ? "" : "s", conditions.loaded.pictures->name());
  if (!other.note.empty()) report.note += fmt::format(" ({})", other.note);
  return report;
}

// The entries of a fingerprint for the classes of pairs. Throws UsageError if a class has none.
std::vector<SourceFile> class_entries(const Pictures& pictures, const Pairing& pairing) {
  const std::vector<std::string> classes = pictures.class_names();
  if (classes.empty()) return {};
  const std::vector<int64_t> labels = pictures.labels();
  std::vector<std::string> names;  // of the class of each pair, empty for none
  for (const int64_t index : pairing.of_pictures) {
    const int64_t label = labels[static_cast<size_t>(index)];
    names.push_back(label < 0 ? "" : classes[static_cast<size_t>(label)]);
  }
  for (const std::string& name : classes) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    fail_usage("classes", fmt::format("no picture of the class '{}' has a condition; add some, or "
                                      "leave the class out",
                                      printable(name)));
  }
  return entries_of(number_classes(names));
}

// The index of pairs holds the files of conditions under the names of their fingerprint.
PictureIndex merged(PictureIndex pictures, PictureIndex conditions) {
  for (IndexedPicture& condition : conditions.pictures) {
    condition.file.name = condition_file_name(condition.file.name);
    pictures.pictures.push_back(std::move(condition));
  }
  return pictures;
}

PictureIndex index_of_conditions(const PictureIndex& of_pairs) {
  PictureIndex found{.settings = of_pairs.settings, .pictures = {}};
  for (const IndexedPicture& picture : of_pairs.pictures) {
    const std::optional<std::string> name = name_of_condition(picture.file.name);
    if (!name) continue;
    found.pictures.push_back(picture);
    found.pictures.back().file.name = *name;
  }
  return found;
}

}  // namespace

LoadedPictures load_pairs(const std::string& source, const std::string& conditions,
                          const SourceOptions& options, const LoadProgress& progress) {
  if (!is_folder_source(source) && !is_archive_source(source)) {
    fail_usage("condition",
               fmt::format("the pictures of {} have no names by which those of {} could "
                           "be told; a folder of pictures has, and downscale:N and "
                           "grey need none",
                           source, conditions));
  }
  Folder pictures = load_folder(source, options, progress);
  std::error_code error;
  if (std::filesystem::equivalent(pictures.loaded.pictures->name(), conditions, error)) {
    fail_usage("condition",
               fmt::format("{} is the folder of the pictures, so each would be its own condition; "
                           "give another folder",
                           conditions));
  }
  SourceOptions for_conditions = options;
  for_conditions.channels = "auto";
  for_conditions.size = pictures.loaded.pictures->image_size();
  const DataFingerprint known = options.known ? condition_files(*options.known) : DataFingerprint{};
  for_conditions.known = &known;
  const PictureIndex index = options.index ? index_of_conditions(*options.index) : PictureIndex{};
  for_conditions.index = &index;
  for_conditions.classes = for_conditions.usable_classes = false;
  for_conditions.labels.clear();
  Folder others = load_folder("folder:" + conditions, for_conditions, progress);

  // In the order of the pictures.
  Pairing pairing;
  DataFingerprint fingerprint, of_conditions;
  for (size_t i = 0; i < pictures.files.files.size(); ++i) {
    const auto partner = others.stems.find(stem_of(pictures.files.files[i].name));
    if (partner == others.stems.end()) continue;
    pairing.of_pictures.push_back(static_cast<int64_t>(i));
    pairing.of_conditions.push_back(partner->second);
    fingerprint.files.push_back(pictures.files.files[i]);
    SourceFile file = others.files.files[static_cast<size_t>(partner->second)];
    file.name = condition_file_name(file.name);
    of_conditions.files.push_back(std::move(file));
  }
  if (pairing.of_pictures.empty()) {
    fail_usage("condition",
               fmt::format(
                   "no picture of {} has a partner in {}: a partner has the same name but "
                   "for the extension, such as {}.png for {}",
                   pictures.loaded.pictures->name(), conditions, pictures.stems.begin()->first,
                   pictures.files.files[static_cast<size_t>(pictures.stems.begin()->second)].name));
  }
  fingerprint.files.insert(fingerprint.files.end(), of_conditions.files.begin(),
                           of_conditions.files.end());
  for (SourceFile& entry : class_entries(*pictures.loaded.pictures, pairing))
    fingerprint.files.push_back(std::move(entry));
  LoadReport report = report_of(pictures, others, static_cast<int64_t>(pairing.of_pictures.size()));
  std::shared_ptr<const Pictures> pairs =
      paired_pictures(std::move(pictures.loaded.pictures), std::move(others.loaded.pictures),
                      std::move(pairing), std::move(fingerprint));
  report.labels.of_pictures = pairs->labels();
  return {std::move(pairs), std::move(report),
          merged(std::move(pictures.loaded.index), std::move(others.loaded.index))};
}

LoadedPictures load_pictures(const std::string& source, const ImageCondition& condition,
                             const SourceOptions& options, const LoadProgress& progress) {
  if (condition.kind == ImageCondition::Kind::kPairs)
    return load_pairs(source, condition.folder, options, progress);
  return open_source(source, options, progress);
}

}  // namespace ddpm
