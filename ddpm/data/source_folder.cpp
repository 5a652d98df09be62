// A folder of image files, including the folders inside it, in the order of their paths. The first
// bytes of a file decide whether it is a picture, not its name. A file with a picture's extension
// but other contents is reported as damaged. The report lists everything that is skipped.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "ddpm/data/picture_store.h"
#include "ddpm/data/source_kinds.h"
#include "ddpm/data/unread_formats.h"

namespace ddpm {
namespace {

constexpr std::string_view kExtensions[] = {".png",  ".jpg",  ".jpeg", ".jpe",  ".jfif",
                                            ".webp", ".gif",  ".tif",  ".tiff", ".bmp",
                                            ".heic", ".heif", ".avif"};
constexpr const char* kLookedFor =
    "pictures (PNG, JPEG, WebP, GIF, TIFF, BMP, HEIC, AVIF), in it and in the folders inside it";

// Files of at least kLarge bytes are read one at a time, so that not every thread holds one.
constexpr int64_t kMostBytes = int64_t{1} << 31, kLarge = int64_t{1} << 26;

std::string not_read(const char* format) {
  return fmt::format("{} is not read; convert it to PNG or JPEG", format);
}

struct ImageFile {
  // Relative to the source's folder.
  std::string name;
  int64_t bytes = 0;
};

class Walk {
 public:
  explicit Walk(std::string folder) : folder_(std::move(folder)) {
    visited_.insert(file_status(folder_).identity);
    enter("");
  }

  std::vector<ImageFile> images;
  std::vector<SkippedFile> skipped;
  // Run directories. They are not entered.
  std::vector<std::string> runs;
  // The number of files that are not pictures, per extension.
  std::map<std::string, int64_t> others;

 private:
  // Names are relative to the source's folder. Its own name is "".
  void enter(const std::string& inside) {
    for (const std::string& name : list_names(path_of(inside))) {
      const bool hidden = name.starts_with('.');
      if (!hidden) visit(join_path(inside, name));
    }
  }

  // A folder that cannot be read may hold pictures, so it is reported.
  void visit(const std::string& inside) {
    const std::string path = path_of(inside);
    try {
      const FileStatus status = file_status(path);
      if (status.type == FileType::kFolder)
        visit_folder(inside, path, status);
      else
        visit_file(inside, path, status);
    } catch (const Error& error) {
      skipped.push_back({path, reason_to_skip(error)});
    }
  }

  void visit_folder(const std::string& inside, const std::string& path, const FileStatus& status) {
    // Symbolic links may lead to the same folder twice or form a circle.
    if (!visited_.insert(status.identity).second) return;
    if (is_run_directory(path))
      runs.push_back(path);
    else
      enter(inside);
  }

  void visit_file(const std::string& inside, const std::string& path, const FileStatus& status) {
    const std::string extension = extension_of(inside);
    const bool promised = std::find(std::begin(kExtensions), std::end(kExtensions), extension) !=
                          std::end(kExtensions);
    const bool regular = status.type == FileType::kRegular;
    if (promised && !regular) fail("data", "this is not a regular file");
    // A pipe or a device is not opened.
    const std::string start = regular && !promised ? read_start(path, kBytesThatTell) : "";
    if (const char* unread = unread_format(inside, start)) fail("data", not_read(unread));
    if (promised || image_format(start) != nullptr)
      images.push_back({inside, status.bytes});
    else
      ++others[extension];
  }

  std::string path_of(const std::string& inside) const {
    return inside.empty() ? folder_ : join_path(folder_, inside);
  }

  std::string folder_;
  std::set<std::pair<uint64_t, uint64_t>> visited_;
};

// "3 files that are not pictures (2 .txt, 1 .mp4)". Empty if there are none.
std::string describe_others(const std::map<std::string, int64_t>& others) {
  constexpr size_t kNamed = 6;
  std::vector<std::pair<std::string, int64_t>> kinds(others.begin(), others.end());
  std::stable_sort(kinds.begin(), kinds.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  int64_t total = 0, named = 0;
  std::string list;
  for (size_t i = 0; i < kinds.size(); ++i) {
    const auto& [extension, count] = kinds[i];
    total += count;
    if (i >= kNamed) continue;
    named += count;
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", count,
                        extension.empty() ? "without extension" : extension);
  }
  if (total == 0) return "";
  if (named < total) list += fmt::format(", {} others", total - named);
  return total == 1 ? fmt::format("1 file that is not a picture ({})", list)
                    : fmt::format("{} files that are not pictures ({})", total, list);
}

std::string describe_left_out(const Walk& found) {
  std::string text = describe_others(found.others);
  for (const std::string& run : found.runs)
    text += fmt::format("{}the run {}", text.empty() ? "" : ", ", run);
  return text;
}

[[noreturn]] void fail_no_images(const std::string& folder, const Walk& found) {
  const std::string left_out = describe_left_out(found);
  std::string text = fmt::format(
      "{} {}; looked for {}", folder,
      left_out.empty() && found.skipped.empty() ? "is empty" : "holds no pictures", kLookedFor);
  if (!left_out.empty()) text += fmt::format("; found {}", left_out);
  fail("data", text + describe_skipped(found.skipped));
}

Tensor decode(const std::string& name, std::string_view bytes, ImageSize size) {
  if (const char* unread = unread_format(name, bytes.substr(0, kBytesThatTell)))
    fail("data", not_read(unread));
  return decode_image(bytes, size);
}

Picture load(const std::string& folder, const ImageFile& image, const FileReader& reader,
             ImageSize size) {
  static std::mutex large_files;
  const std::string path = join_path(folder, image.name);
  std::unique_lock<std::mutex> alone;
  if (image.bytes >= kLarge) {
    const std::string start = read_start(path, kBytesThatTell);
    // This throws the reason.
    if (image_format(start) == nullptr) decode(image.name, start, size);
    alone = std::unique_lock(large_files);
    if (image.bytes <= kMostBytes) require_memory(path, image.bytes);
  }
  FileReader::Contents contents = reader.read(path, image.name, kMostBytes);
  return {decode(image.name, contents.bytes, size), std::move(contents.file)};
}

// The class of each picture: the first folder of its name. Throws UsageError if there are no
// folders.
std::vector<std::string> first_folders(const std::string& folder,
                                       const std::vector<ImageFile>& images) {
  std::vector<std::string> names;
  bool any = false;
  for (const ImageFile& image : images) {
    const size_t slash = image.name.find('/');
    names.push_back(slash == std::string::npos ? "" : image.name.substr(0, slash));
    any = any || !names.back().empty();
  }
  if (!any) {
    fail_usage("classes", fmt::format("{} holds no folders to take as classes; put the pictures "
                                      "of each class into a folder of its name, or give a table: "
                                      "--labels FILE.csv",
                                      folder));
  }
  return names;
}

// Names, paths, classes and decoding of the pictures of a list.
void fill(const std::string& folder, std::vector<ImageFile> found, const SharedReader& reader,
          PictureList& list) {
  list.count = static_cast<int64_t>(found.size());
  const auto images = std::make_shared<const std::vector<ImageFile>>(std::move(found));
  list.path_of = [folder, images](int64_t i) { return join_path(folder, (*images)[i].name); };
  list.classes = [folder, images] { return first_folders(folder, *images); };
  list.load = [folder, images, reader](int64_t i, ImageSize size) {
    return load(folder, (*images)[i], *reader, size);
  };
}

}  // namespace

PictureList list_file(const std::string& path, const SharedReader& reader) {
  require_decoders();
  PictureList list;
  list.name = path;
  list.looked_for = path;
  const std::string name = base_name(path);
  fill(path.substr(0, path.size() - name.size()), {{name, file_status(path).bytes}}, reader, list);
  return list;
}

PictureList list_folder(const std::string& folder, const SharedReader& reader) {
  require_folder(folder, kLookedFor);
  const std::filesystem::path place = std::filesystem::absolute(folder + "/").parent_path();
  const bool of_a_run = (place.filename() == "samples" || place.filename() == "checkpoints") &&
                        is_run_directory(place.parent_path().string());
  if (of_a_run || is_run_directory(folder)) {
    fail_usage("data", fmt::format("{} belongs to a training; its pictures are samples, "
                                   "not data. Give the folder of the pictures to train on",
                                   folder));
  }
  Walk found(folder);
  if (found.images.empty()) fail_no_images(folder, found);
  require_decoders();
  PictureList list;
  list.name = folder;
  list.looked_for = fmt::format("{}: {}", folder, kLookedFor);
  if (const std::string left_out = describe_left_out(found); !left_out.empty())
    list.note = "left out " + left_out;
  list.skipped = std::move(found.skipped);
  std::sort(found.images.begin(), found.images.end(),
            [](const ImageFile& a, const ImageFile& b) { return a.name < b.name; });
  fill(folder, std::move(found.images), reader, list);
  return list;
}

}  // namespace ddpm
