// A folder of image files, including the folders inside it, in the order of their paths. The first
// bytes of a file decide whether it is a picture, not its name. A file with a picture's extension
// but other contents is reported as damaged. The report lists everything that is skipped.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "ddpm/data/picture_files.h"
#include "ddpm/data/source_kinds.h"
#include "ddpm/data/unread_formats.h"

namespace ddpm {
namespace {

struct ImageFile {
  // Relative to the source's folder.
  std::string name;
  int64_t bytes = 0;
  int64_t modified_ns = 0;
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
  OtherFiles others;

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
    const bool promised = is_called_picture(inside);
    const bool regular = status.type == FileType::kRegular;
    if (promised && !regular) fail("data", "this is not a regular file");
    // A pipe or a device is not opened.
    const std::string start = regular && !promised ? read_start(path, kBytesThatTell) : "";
    if (is_picture(inside, start, others))
      images.push_back({inside, status.bytes, status.modified_ns});
  }

  std::string path_of(const std::string& inside) const {
    return inside.empty() ? folder_ : join_path(folder_, inside);
  }

  std::string folder_;
  std::set<std::pair<uint64_t, uint64_t>> visited_;
};

std::string describe_left_out(const Walk& found) {
  std::string text = describe_others(found.others);
  for (const std::string& run : found.runs)
    text += fmt::format("{}the run {}", text.empty() ? "" : ", ", run);
  return text;
}

[[noreturn]] void fail_no_images(const std::string& folder, const Walk& found) {
  const std::string left_out = describe_left_out(found);
  std::string text =
      fmt::format("{} {}; looked for {}", folder,
                  left_out.empty() && found.skipped.empty() ? "is empty" : "holds no pictures",
                  kPicturesLookedFor);
  if (!left_out.empty()) text += fmt::format("; found {}", left_out);
  fail("data", text + describe_skipped(found.skipped));
}

Picture load(const std::string& folder, const ImageFile& image, const FileReader& reader,
             const Fitting& fitting) {
  const std::string path = join_path(folder, image.name);
  const std::unique_lock<std::mutex> turn = turn_of_picture(
      path, image.name, image.bytes, [&] { return read_start(path, kBytesThatTell); });
  FileReader::Contents contents = reader.read(path, image.name, kMostPictureBytes);
  return {decode_picture(image.name, contents.bytes, fitting), std::move(contents.file)};
}

// Names, paths, classes and decoding of the pictures of a list.
void fill(const std::string& folder, std::vector<ImageFile> found, const SharedReader& reader,
          PictureList& list) {
  list.count = static_cast<int64_t>(found.size());
  const auto images = std::make_shared<const std::vector<ImageFile>>(std::move(found));
  list.file_of = [images](int64_t i) -> SourceFile {
    const ImageFile& image = (*images)[i];
    return {.name = image.name, .bytes = image.bytes, .modified_ns = image.modified_ns, .hash = {}};
  };
  list.path_of = [folder, images](int64_t i) { return join_path(folder, (*images)[i].name); };
  list.classes = [folder, images] {
    std::vector<std::string> names;
    for (const ImageFile& image : *images) names.push_back(image.name);
    return first_folders(folder, names);
  };
  list.load = [folder, images, reader](int64_t i, const Fitting& fitting) {
    return load(folder, (*images)[i], *reader, fitting);
  };
}

}  // namespace

PictureList list_file(const std::string& path, const SharedReader& reader) {
  require_decoders();
  PictureList list;
  list.name = path;
  list.looked_for = path;
  const std::string name = base_name(path);
  const FileStatus status = file_status(path);
  fill(path.substr(0, path.size() - name.size()), {{name, status.bytes, status.modified_ns}},
       reader, list);
  return list;
}

PictureList list_folder(const std::string& folder, const SharedReader& reader) {
  require_folder(folder, kPicturesLookedFor);
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
  list.looked_for = fmt::format("{}: {}", folder, kPicturesLookedFor);
  if (const std::string left_out = describe_left_out(found); !left_out.empty())
    list.note = "left out " + left_out;
  list.skipped = std::move(found.skipped);
  std::sort(found.images.begin(), found.images.end(),
            [](const ImageFile& a, const ImageFile& b) { return a.name < b.name; });
  fill(folder, std::move(found.images), reader, list);
  return list;
}

}  // namespace ddpm
