// The table of sources. A new source is a function that returns a PictureList, and a row of the
// table.
#include "ddpm/data/source.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/data/source_files.h"
#include "ddpm/data/source_kinds.h"

namespace ddpm {
namespace {

struct Entry {
  // The source is written as "prefix" or "prefix:argument".
  const char* prefix;
  bool needs_argument;
  const char* form;
  const char* about;
  // True if the argument is a path.
  bool is_path;
  PictureList (*list)(const std::string& argument, const SharedReader& reader);
};

// The first is that of paths to folders, the second that of paths to files.
constexpr Entry kSources[] = {
    {"folder", true, "FOLDER",
     "a folder of pictures (PNG, JPEG, WebP, GIF, TIFF, BMP, HEIC, AVIF), with the folders in it",
     true, list_folder},
    {"archive", true, "FILE.zip|FILE.tar",
     "the pictures in a .zip or a .tar archive, which may be compressed (.tar.gz, .tar.zst, ...)",
     true, list_archive},
    {"emoji", false, "emoji[:GROUP]",
     "Noto's colour emoji, all or one group such as emoji:smileys-emotion", false,
     [](const std::string& group, const SharedReader& reader) {
       return list_emoji(group, reader);
     }},
    {"mnist", true, "mnist:DIR",
     "the training images of MNIST, EMNIST or a set like them, or one of their IDX files", true,
     list_mnist},
    {"cifar10", true, "cifar10:DIR", "CIFAR-10's training images (its binary version)", true,
     list_cifar10},
};

std::string all_forms() {
  std::vector<std::string> forms;
  for (const Entry& entry : kSources) forms.push_back(entry.form);
  return join_choices(forms);
}

struct Request {
  const Entry* entry;
  std::string argument;
};

Request parse_source(const std::string& source) {
  if (source.empty())
    fail_usage("data", fmt::format("no source of pictures given; give {}", all_forms()));
  const size_t colon = source.find(':');
  const std::string prefix = source.substr(0, colon);
  for (const Entry& entry : kSources) {
    if (prefix != entry.prefix) continue;
    if (colon != std::string::npos && colon + 1 < source.size())
      return {&entry, source.substr(colon + 1)};
    if (!entry.needs_argument && colon == std::string::npos) return {&entry, ""};
    // A folder may have the name "mnist".
    if (colon != std::string::npos || !find_file(source))
      fail_usage("data", fmt::format("'{}' lacks its argument; give {}", source, entry.form));
  }
  if (colon != std::string::npos && source.find('/') > colon && !find_file(source)) {
    fail_usage("data", fmt::format("'{}' is neither a folder nor a known source; give {}", source,
                                   all_forms()));
  }
  const std::optional<FileStatus> found = find_file(source);
  const bool is_file = found && found->type == FileType::kRegular;
  return {&kSources[is_file ? 1 : 0], source};
}

bool has_parent_step(const std::filesystem::path& path) {
  return std::find(path.begin(), path.end(), "..") != path.end();
}

}  // namespace

std::string absolute_source(const std::string& source) {
  const auto [entry, argument] = parse_source(source);
  if (!entry->is_path) return source;
  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string();
  if (error) {
    fail_system("data", fmt::format("cannot find the working directory: {}", error.message()),
                error.value());
  }
  std::string path = argument.starts_with('/') ? argument : join_path(here, argument);
  // Without "..", so that other folders of the path may be moved later.
  if (const auto real = std::filesystem::canonical(path, error); !error && has_parent_step(path))
    path = real.string();
  return source.size() == argument.size() ? path : fmt::format("{}:{}", entry->prefix, path);
}

bool is_folder_source(const std::string& source) {
  return parse_source(source).entry == &kSources[0];
}

bool is_archive_source(const std::string& source) {
  return parse_source(source).entry == &kSources[1];
}

PictureList list_source(const std::string& source, const SharedReader& reader) {
  const Request request = parse_source(source);
  return request.entry->list(request.argument, reader);
}

std::vector<SourceKind> source_kinds() {
  std::vector<SourceKind> kinds;
  for (const Entry& entry : kSources) kinds.push_back({entry.form, entry.about});
  return kinds;
}

std::string describe_skipped(const std::vector<SkippedFile>& skipped) {
  constexpr size_t kNamed = 3;
  std::string text;
  for (size_t i = 0; i < std::min(skipped.size(), kNamed); ++i)
    text += fmt::format("; {}: {}", skipped[i].path, skipped[i].reason);
  if (skipped.size() > kNamed) text += fmt::format("; and {} more", skipped.size() - kNamed);
  return text;
}

void require_folder(const std::string& folder, std::string_view looked_for) {
  const std::optional<FileStatus> status = find_file(folder);
  if (!status)
    fail("data",
         fmt::format("no such folder or archive: {}; looked there for {}", folder, looked_for));
  if (status->type != FileType::kFolder) {
    fail("data", fmt::format("{} is a file, not a folder; give the folder that holds {}", folder,
                             looked_for));
  }
}

}  // namespace ddpm
