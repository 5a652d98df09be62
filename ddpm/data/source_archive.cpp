// The pictures in a .zip or .tar archive, with those in its folders, in the order of their paths.
// The same files are pictures as in a folder.
#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/archive/archive.h"
#include "ddpm/data/image.h"
#include "ddpm/data/picture_files.h"
#include "ddpm/data/source.h"
#include "ddpm/data/source_files.h"
#include "ddpm/data/source_kinds.h"
#include "ddpm/data/unread_formats.h"

namespace ddpm {

bool looks_like_archive(const std::string& path) {
  const std::optional<FileStatus> found = find_file(path);
  if (!found || found->type != FileType::kRegular) return false;
  constexpr size_t kTarName = 257;
  // Of .zip (with files, without), .gz, .zst, .xz, .bz2, .lz4.
  constexpr std::string_view kStarts[] = {"PK\x03\x04",       "PK\x05\x06",         "\x1f\x8b",
                                          "\x28\xb5\x2f\xfd", {"\xfd\x37zXZ\0", 6}, "BZh",
                                          "\x04\x22\x4d\x18"};
  const std::string start = read_start(path, kTarName + 5);
  const auto begins = [&](std::string_view with) { return start.starts_with(with); };
  return std::any_of(std::begin(kStarts), std::end(kStarts), begins) ||
         (start.size() == kTarName + 5 && start.ends_with("ustar"));
}

namespace {

std::shared_ptr<const Archive> open_archive(const std::string& path,
                                            const Archive::Wanted& wanted) {
  try {
    return std::make_shared<const Archive>(path, kBytesThatTell, wanted);
  } catch (const SystemError&) {
    throw;
  } catch (const Error&) {
    const std::optional<FileStatus> found = find_file(path);
    if (!found || found->type != FileType::kRegular || looks_like_archive(path) ||
        image_format(read_start(path, kBytesThatTell)) == nullptr)
      throw;
    fail_usage("data", fmt::format("{} is a single picture; give its folder", path));
  }
}

}  // namespace

PictureList list_archive(const std::string& path, const SharedReader& reader) {
  OtherFiles others;
  std::vector<SkippedFile> skipped;
  const auto wanted = [&](const std::string& name, std::string_view start) {
    try {
      return is_picture(name, start, others);
    } catch (const Error& error) {
      skipped.push_back({join_path(path, name), reason_to_skip(error)});
      return false;
    }
  };
  const std::shared_ptr<const Archive> archive = open_archive(path, wanted);
  for (const ArchiveProblem& problem : archive->problems())
    skipped.push_back(
        {problem.name.empty() ? path : join_path(path, problem.name), problem.reason});
  const std::string left_out = describe_others(others);
  if (archive->entries().empty()) {
    fail("data",
         fmt::format("{} holds no pictures; looked for {}{}{}{}", path, kPicturesLookedFor,
                     left_out.empty() ? "" : "; found ", left_out, describe_skipped(skipped)));
  }
  require_decoders();
  PictureList list;
  list.name = path;
  list.looked_for = fmt::format("{}: {}", path, kPicturesLookedFor);
  if (!left_out.empty()) list.note = "left out " + left_out;
  list.skipped = std::move(skipped);
  list.count = static_cast<int64_t>(archive->entries().size());
  const auto entry = [archive](int64_t i) -> const ArchiveEntry& {
    return archive->entries()[static_cast<size_t>(i)];
  };
  // An archive that was written again may hold other contents, so its time is that of its files.
  list.file_of = [archive, entry](int64_t i) -> SourceFile {
    return {.name = entry(i).name,
            .bytes = entry(i).bytes,
            .modified_ns = archive->modified_ns(),
            .hash = {}};
  };
  list.path_of = [archive, entry](int64_t i) { return join_path(archive->path(), entry(i).name); };
  list.classes = [archive] {
    std::vector<std::string> names;
    for (const ArchiveEntry& one : archive->entries()) names.push_back(one.name);
    return first_folders(archive->path(), names);
  };
  list.load = [archive, entry, reader](int64_t i, const Fitting& fitting) -> Picture {
    const std::string& name = entry(i).name;
    const std::unique_lock<std::mutex> turn =
        turn_of_picture(join_path(archive->path(), name), name, entry(i).bytes,
                        [&] { return archive->read_start(i, kBytesThatTell); });
    const std::string contents = archive->read(i, kMostPictureBytes);
    return {decode_picture(name, contents, fitting),
            reader->describe(name, archive->modified_ns(), contents)};
  };
  return list;
}

}  // namespace ddpm
