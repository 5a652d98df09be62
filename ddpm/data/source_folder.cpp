// A folder of image files, with the folders inside it. Files are chosen by extension, so that stray
// notes and archives are no errors, and read in the order of their paths.
#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "ddpm/data/source_kinds.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExtensions[] = {".png", ".jpg",  ".jpeg", ".webp",
                                       ".gif", ".tiff", ".tif",  ".bmp"};
constexpr const char* kLookedFor =
    "image files (.png .jpg .jpeg .webp .gif .tiff .tif .bmp), in it and in the folders inside it";

std::string extension_of(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

struct Walk {
  std::vector<std::string> images;
  std::vector<SkippedFile> skipped;
  std::map<std::string, int64_t> others;  // files per extension that is not ours
  std::set<std::string> visited;          // canonical folders: symbolic links may run in circles
};

void walk(const fs::path& folder, Walk& found) {
  std::error_code error;
  const fs::path canonical = fs::canonical(folder, error);
  if (!error && !found.visited.insert(canonical.string()).second) return;
  std::vector<fs::directory_entry> entries;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) entries.push_back(*it);
  if (error) found.skipped.push_back({folder.string(), error.message()});
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.path() < b.path(); });
  for (const fs::directory_entry& entry : entries) {
    const fs::path& path = entry.path();
    if (path.filename().string().starts_with(".")) continue;
    const std::string extension = extension_of(path);
    const bool ours = std::find(std::begin(kExtensions), std::end(kExtensions), extension) !=
                      std::end(kExtensions);
    const fs::file_status status = entry.status(error);
    if (fs::is_directory(status)) {
      walk(path, found);
    } else if (!ours) {
      ++found.others[extension];
    } else if (fs::is_regular_file(status)) {
      found.images.push_back(path.string());
    } else {
      found.skipped.push_back({path.string(), error ? error.message() : "this is no regular file"});
    }
  }
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

PictureList list_folder(const std::string& folder) {
  require_folder(folder, kLookedFor);
  Walk found;
  walk(folder, found);
  if (found.images.empty()) fail_no_images(folder, found);
  PictureList list;
  list.name = folder;
  list.looked_for = fmt::format("{}: {}", folder, kLookedFor);
  list.skipped = std::move(found.skipped);
  list.paths = std::move(found.images);
  std::sort(list.paths.begin(), list.paths.end());
  list.load = [paths = list.paths](int64_t i, ImageSize size) {
    return decode_image(read_file(paths[i]), size);
  };
  return list;
}

}  // namespace ddpm
