// A folder of image files, with the folders inside it. Files are chosen by extension, so that stray
// notes and archives are no errors, and read in the order of their paths.
#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/data/image.h"
#include "ddpm/data/source_kinds.h"

namespace ddpm {
namespace {

constexpr const char* kExtensions[] = {".png", ".jpg",  ".jpeg", ".webp",
                                       ".gif", ".tiff", ".tif",  ".bmp"};
constexpr int64_t kMostBytes = int64_t{1} << 31;
constexpr const char* kLookedFor =
    "image files (.png .jpg .jpeg .webp .gif .tiff .tif .bmp), in it and in the folders inside it";

// With its dot, in small letters; empty where there is none.
std::string extension_of(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return "";
  std::string extension(name.substr(dot));
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

bool is_hidden(std::string_view name) { return name.starts_with('.'); }

// Names inside are relative to the source's folder.
class Walk {
 public:
  explicit Walk(std::string folder) : folder_(std::move(folder)) {
    visited_.insert(file_status(folder_).identity);
    enter("");
  }

  std::vector<std::string> images;
  std::vector<SkippedFile> skipped;
  std::vector<std::string> runs;          // run directories, which are not entered
  std::map<std::string, int64_t> others;  // files per extension that is not ours

 private:
  void enter(const std::string& inside) {
    for (const std::string& name : list_names(path_of(inside)))
      if (!is_hidden(name)) visit(join_path(inside, name), name);
  }

  // What cannot be read may hold pictures: it is named, not passed over.
  void visit(const std::string& inside, const std::string& name) {
    const std::string path = path_of(inside);
    try {
      const FileStatus status = file_status(path);
      if (status.type == FileType::kFolder)
        visit_folder(inside, path, status);
      else
        visit_file(inside, path, status, extension_of(name));
    } catch (const Error& error) {
      skipped.push_back({path, reason_to_skip(error)});
    }
  }

  void visit_folder(const std::string& inside, const std::string& path, const FileStatus& status) {
    // Symbolic links may lead to one folder twice, or run in circles.
    if (!visited_.insert(status.identity).second) return;
    if (is_run_directory(path))
      runs.push_back(path);
    else
      enter(inside);
  }

  void visit_file(const std::string& inside, const std::string& path, const FileStatus& status,
                  const std::string& extension) {
    const bool ours = std::find(std::begin(kExtensions), std::end(kExtensions), extension) !=
                      std::end(kExtensions);
    if (!ours)
      ++others[extension];
    else if (status.type == FileType::kRegular)
      images.push_back(inside);
    else
      skipped.push_back({path, "this is no regular file"});
  }

  std::string path_of(const std::string& inside) const {
    return inside.empty() ? folder_ : join_path(folder_, inside);
  }

  std::string folder_;
  std::set<std::pair<uint64_t, uint64_t>> visited_;
};

std::string describe_runs(const std::vector<std::string>& runs) {
  std::string note;
  for (const std::string& run : runs) {
    note += fmt::format("{}{}", note.empty() ? "left out what trainings wrote: " : ", ", run);
  }
  return note;
}

[[noreturn]] void fail_no_images(const std::string& folder, const Walk& found) {
  std::string instead;
  for (const auto& [extension, count] : found.others) {
    instead += fmt::format("{}{} {}", instead.empty() ? "" : ", ", count,
                           extension.empty() ? "without extension" : extension);
  }
  if (!found.skipped.empty()) {
    fail("data", fmt::format("{}: {}", found.skipped[0].path, found.skipped[0].reason));
  }
  fail("data", instead.empty()
                   ? fmt::format("{} is empty; looked for {}", folder, kLookedFor)
                   : fmt::format("{} holds no pictures; looked for {}; found instead files: {}",
                                 folder, kLookedFor, instead));
}

}  // namespace

PictureList list_folder(const std::string& folder, const SharedReader& reader) {
  require_folder(folder, kLookedFor);
  if (is_run_directory(folder)) {
    fail_usage("data", fmt::format("{} is the directory of a training; its pictures are samples, "
                                   "not data. Give the folder of the pictures to train on",
                                   folder));
  }
  Walk found(folder);
  if (found.images.empty()) fail_no_images(folder, found);
  PictureList list;
  list.name = folder;
  list.looked_for = fmt::format("{}: {}", folder, kLookedFor);
  list.note = describe_runs(found.runs);
  list.skipped = std::move(found.skipped);
  std::sort(found.images.begin(), found.images.end());
  list.count = static_cast<int64_t>(found.images.size());
  const auto names = std::make_shared<const std::vector<std::string>>(std::move(found.images));
  list.path_of = [folder, names](int64_t i) { return join_path(folder, (*names)[i]); };
  list.load = [folder, names, reader](int64_t i, ImageSize size) -> Picture {
    const std::string& name = (*names)[i];
    FileReader::Contents contents = reader->read(join_path(folder, name), name, kMostBytes);
    return {decode_image(contents.bytes, size), std::move(contents.file)};
  };
  return list;
}

}  // namespace ddpm
