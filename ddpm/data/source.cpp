// The table of sources, and the code that all of them share: sizes, channels, parallel decoding and
// the report. A new source is a function that returns a PictureList, and a row of the table.
#include "ddpm/data/source.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <optional>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/base/text.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/picture_store.h"
#include "ddpm/data/source_classes.h"
#include "ddpm/data/source_files.h"
#include "ddpm/data/source_kinds.h"
#include "ddpm/tensor/allocator.h"

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

constexpr Entry kSources[] = {
    {"folder", true, "FOLDER",
     "a folder of pictures (PNG, JPEG, WebP, GIF, TIFF, BMP, HEIC, AVIF), with the folders in it",
     true, list_folder},
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
  return {&kSources[0], source};
}

int64_t parse_channels(const std::string& text) {
  if (text == "auto") return 0;
  if (text == "1" || text == "3" || text == "4") return text[0] - '0';
  fail_usage("channels", fmt::format("'{}' is not a number of channels; give {}", text,
                                     join_choices({"1", "3", "4", "auto"})));
}

ImageSize choose_size(const PictureList& list, ImageSize wanted) {
  if (wanted.height < 0 || wanted.width < 0 || (wanted.height == 0) != (wanted.width == 0)) {
    fail_usage("size", fmt::format("cannot make pictures of {} x {}", wanted.height, wanted.width));
  }
  if (wanted.height > 0) return wanted;
  if (list.own_size.height == 0)
    fail_usage("size", fmt::format("{} has no size of its own; give one such as 32", list.name));
  return list.own_size;
}

// Decodes every picture of a list once and puts it into a store.
class Decoding {
 public:
  Decoding(const PictureList& list, const PictureFormat& format, const LoadProgress& progress)
      : list_(list), size_(format.size), progress_(progress), store_(list.count, format) {
    was_read_.resize(static_cast<size_t>(list.count));
    if (list_.containers.files.empty()) files_.resize(static_cast<size_t>(list.count));
  }

  void run() {
    parallel_for(num_threads(), 1, [&](int64_t, int64_t) {
      try {
        // Files differ much in size, so each thread takes the next picture when it has finished
        // one.
        for (int64_t i; !stopped_ && (i = next_++) < list_.count;) one(i);
      } catch (...) {
        stopped_ = true;
        throw;
      }
    });
  }

  // Called after run(), once each.
  std::vector<SkippedFile> take_skipped() { return std::move(skipped_); }
  Tensor take_images() { return store_.take(); }
  // For each picture of the list, whether it could be read.
  const std::vector<char>& was_read() const { return was_read_; }
  DataFingerprint take_fingerprint() {
    if (!list_.containers.files.empty()) return list_.containers;
    std::erase_if(files_, [](const SourceFile& file) { return file.name.empty(); });
    return {std::move(files_)};
  }

 private:
  void one(int64_t i) {
    Picture picture;
    std::string reason;
    try {
      picture = list_.load(i, size_);
    } catch (const SystemError& error) {
      const std::string path = list_.path_of(i), text = error.what();
      if (is_transient(error.code()) && text.find(printable(path)) == std::string::npos)
        fail_system("data", fmt::format("{}: {}", path, text), error.code());
      reason = reason_to_skip(error);
    } catch (const Error& error) {
      reason = reason_to_skip(error);
    }
    if (picture.image.defined()) store_.put(i, picture.image);
    std::lock_guard lock(lock_);
    was_read_[static_cast<size_t>(i)] = picture.image.defined();
    if (!picture.image.defined())
      skipped_.push_back({list_.path_of(i), std::move(reason)});
    else if (!files_.empty())
      files_[i] = std::move(picture.file);
    ++done_;
    if (progress_ && !stopped_) progress_(done_, list_.count);
  }

  const PictureList& list_;
  const ImageSize size_;
  const LoadProgress& progress_;
  PictureStore store_;
  std::atomic<int64_t> next_ = 0;
  std::atomic<bool> stopped_ = false;
  // Guards the members below.
  std::mutex lock_;
  int64_t done_ = 0;
  std::vector<SkippedFile> skipped_;
  // Used if every picture has its own file.
  std::vector<SourceFile> files_;
  std::vector<char> was_read_;
};

// The classes of the pictures that could be read. Throws UsageError if none of a class could.
ClassLabels labels_of_read(const std::vector<std::string>& classes,
                           const std::vector<char>& was_read) {
  std::vector<std::string> of_pictures;
  for (size_t i = 0; i < classes.size(); ++i)
    if (was_read[i]) of_pictures.push_back(classes[i]);
  ClassLabels labels = number_classes(of_pictures);
  require_pictures_of_all(classes, labels);
  return labels;
}

// The class of each picture of the list, if the options ask for classes. Otherwise empty.
std::vector<std::string> classes_asked_for(const Request& request, const PictureList& list,
                                           const SourceOptions& options) {
  if (options.labels.empty()) {
    return options.classes ? classes_of(list) : std::vector<std::string>();
  }
  if (request.entry != &kSources[0]) {
    fail_usage("labels",
               fmt::format("a table of labels is for the files of a folder; {} {}", list.name,
                           list.classes ? "has classes of its own: give --classes"
                                        : "has no files to name"));
  }
  return classes_of(list, options.labels);
}

}  // namespace

LoadedSource load_source(const std::string& source, const SourceOptions& options,
                         const LoadProgress& progress) {
  int64_t channels = parse_channels(options.channels);
  const Colour background = parse_colour(options.background);
  const Request request = parse_source(source);
  const PictureList list =
      request.entry->list(request.argument, std::make_shared<const FileReader>(options.known));
  const ImageSize size = choose_size(list, options.size);
  if (channels == 0) channels = list.own_channels;

  LoadReport report{0, list.skipped, list.looked_for, list.note};
  const auto require_some = [&](int64_t pictures) {
    if (pictures > 0) return;
    fail("data",
         fmt::format("{}: none of {} can be read; looked for {}{}", list.name,
                     report.skipped.size(), list.looked_for, describe_skipped(report.skipped)));
  };
  require_some(list.count);
  const std::vector<std::string> classes = classes_asked_for(request, list, options);
  Decoding decoding(list, {size, channels, background}, progress);
  decoding.run();
  const std::vector<SkippedFile> damaged = decoding.take_skipped();
  report.loaded = list.count - static_cast<int64_t>(damaged.size());
  report.skipped.insert(report.skipped.end(), damaged.begin(), damaged.end());
  std::stable_sort(report.skipped.begin(), report.skipped.end(),
                   [](const auto& a, const auto& b) { return a.path < b.path; });
  require_some(report.loaded);
  DataFingerprint fingerprint = decoding.take_fingerprint();
  ClassLabels labels;
  if (!classes.empty()) {
    labels = labels_of_read(classes, decoding.was_read());
    for (SourceFile& entry : entries_of(labels)) fingerprint.files.push_back(std::move(entry));
  }
  report.labels = labels;
  Dataset dataset(decoding.take_images(), list.name, std::move(labels), std::move(fingerprint));
  // Return the memory of the decoding to the system.
  trim_allocator();
  return {std::move(dataset), std::move(report)};
}

namespace {

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
    fail("data", fmt::format("no such folder: {}; looked there for {}", folder, looked_for));
  if (status->type != FileType::kFolder) {
    fail("data", fmt::format("{} is a file, not a folder; give the folder that holds {}", folder,
                             looked_for));
  }
}

}  // namespace ddpm
