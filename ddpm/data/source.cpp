// One table of sources, and what is the same for all of them: sizes, channels, parallel decoding
// and the report. A new source is a function that returns a PictureList and a line in the table.
#include "ddpm/data/source.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/source_kinds.h"

namespace ddpm {
namespace {

struct Entry {
  const char* prefix;  // the source is "prefix" or "prefix:argument"
  bool needs_argument;
  const char* form;
  const char* about;
  PictureList (*list)(const std::string& argument);
};

constexpr Entry kSources[] = {
    {"folder", true, "FOLDER",
     "a folder of PNG, JPEG, WebP, GIF, TIFF and BMP files, with the folders inside it",
     [](const std::string& folder) { return list_folder(folder); }},
    {"emoji", false, "emoji[:GROUP]",
     "Noto's colour emoji, all or one group such as emoji:smileys-emotion",
     [](const std::string& group) { return list_emoji(group); }},
    {"mnist", true, "mnist:DIR", "the training images of MNIST or a set like it (IDX files)",
     [](const std::string& folder) { return list_mnist(folder); }},
    {"cifar10", true, "cifar10:DIR", "CIFAR-10's training images (its binary version)",
     [](const std::string& folder) { return list_cifar10(folder); }},
};

std::string all_forms() {
  std::vector<std::string> forms;
  for (const Entry& entry : kSources) forms.push_back(entry.form);
  return join_choices(forms);
}

PictureList list_source(const std::string& source) {
  if (source.empty())
    fail_usage("data", fmt::format("no source of pictures given; give {}", all_forms()));
  const size_t colon = source.find(':');
  const std::string prefix = source.substr(0, colon);
  for (const Entry& entry : kSources) {
    if (prefix != entry.prefix) continue;
    if (colon != std::string::npos && colon + 1 < source.size())
      return entry.list(source.substr(colon + 1));
    if (!entry.needs_argument && colon == std::string::npos) return entry.list("");
    // A folder may be called "mnist".
    if (std::error_code error;
        colon != std::string::npos || !std::filesystem::exists(source, error))
      fail_usage("data", fmt::format("'{}' lacks its argument; give {}", source, entry.form));
  }
  std::error_code error;
  if (colon != std::string::npos && source.find('/') > colon &&
      !std::filesystem::exists(source, error)) {
    fail_usage("data", fmt::format("'{}' is neither a folder nor a known source; give {}", source,
                                   all_forms()));
  }
  return list_folder(source);
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

// Without the "[where] " of an error's text.
std::string reason_of(const Error& error) {
  const std::string text = error.what();
  const size_t end = text.find("] ");
  return text.starts_with("[") && end != std::string::npos ? text.substr(end + 2) : text;
}

struct Decoded {
  Tensor image;
  std::string reason;  // why there is none
};

// Threads take the next picture when they are done with one: files differ much in size.
std::vector<Decoded> decode_all(const PictureList& list, ImageSize size,
                                const LoadProgress& progress) {
  const auto total = static_cast<int64_t>(list.paths.size());
  std::vector<Decoded> decoded(list.paths.size());
  std::atomic<int64_t> next = 0;
  std::atomic<bool> stopped = false;
  std::mutex progress_lock;
  int64_t done = 0;
  const auto work = [&] {
    for (int64_t i; !stopped && (i = next++) < total;) {
      try {
        decoded[i].image = list.load(i, size);
      } catch (const Error& error) {
        decoded[i].reason = reason_of(error);
      }
      std::lock_guard lock(progress_lock);
      ++done;
      if (progress && !stopped) progress(done, total);
    }
  };
  parallel_for(num_threads(), 1, [&](int64_t, int64_t) {
    try {
      work();
    } catch (...) {
      stopped = true;
      throw;
    }
  });
  return decoded;
}

[[noreturn]] void fail_all_damaged(const PictureList& list, const LoadReport& report) {
  std::string examples;
  for (size_t i = 0; i < std::min<size_t>(report.skipped.size(), 3); ++i)
    examples += fmt::format("\n  {}: {}", report.skipped[i].path, report.skipped[i].reason);
  if (report.skipped.size() > 3)
    examples += fmt::format("\n  and {} more", report.skipped.size() - 3);
  fail("data", fmt::format("{}: none of {} can be read; looked for {}{}", list.name,
                           report.skipped.size(), list.looked_for, examples));
}

}  // namespace

LoadedSource load_source(const std::string& source, const SourceOptions& options,
                         const LoadProgress& progress) {
  int64_t channels = parse_channels(options.channels);
  const Colour background = parse_colour(options.background);
  const PictureList list = list_source(source);
  const ImageSize size = choose_size(list, options.size);
  if (channels == 0) channels = list.own_channels;

  std::vector<Decoded> decoded = decode_all(list, size, progress);
  LoadReport report{0, list.skipped, list.looked_for, list.note};
  int64_t most = 1;
  for (size_t i = 0; i < decoded.size(); ++i) {
    if (decoded[i].image.defined()) {
      ++report.loaded;
      most = std::max(most, decoded[i].image.size(2));
    } else {
      report.skipped.push_back({list.paths[i], decoded[i].reason});
    }
  }
  std::stable_sort(report.skipped.begin(), report.skipped.end(),
                   [](const auto& a, const auto& b) { return a.path < b.path; });
  if (report.loaded == 0) fail_all_damaged(list, report);
  if (channels == 0) channels = most;

  Tensor images({report.loaded, size.height, size.width, channels}, DType::kUInt8);
  int64_t n = 0;
  for (Decoded& one : decoded) {
    if (!one.image.defined()) continue;
    images.rows(n, n + 1)
        .reshape({size.height, size.width, channels})
        .copy_from(convert_channels(one.image, channels, background));
    one.image = Tensor();
    ++n;
  }
  return {Dataset(std::move(images), list.name), std::move(report)};
}

std::vector<SourceKind> source_kinds() {
  std::vector<SourceKind> kinds;
  for (const Entry& entry : kSources) kinds.push_back({entry.form, entry.about});
  return kinds;
}

void require_folder(const std::string& folder, std::string_view looked_for) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (!fs::exists(status)) {
    fail("data", fmt::format("no such folder: {}; looked there for {}{}", folder, looked_for,
                             error && status.type() != fs::file_type::not_found
                                 ? fmt::format(" ({})", error.message())
                                 : ""));
  }
  if (!fs::is_directory(status)) {
    fail("data", fmt::format("{} is a file, not a folder; give the folder that holds {}", folder,
                             looked_for));
  }
}

}  // namespace ddpm
