// Loading a source: sizes, channels, classes and the report, which all kinds of sources share.
#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "ddpm/base/memory.h"
#include "ddpm/base/options.h"
#include "ddpm/base/text.h"
#include "ddpm/base/version.h"
#include "ddpm/comm/messages.h"
#include "ddpm/data/picture_store.h"
#include "ddpm/data/source.h"
#include "ddpm/data/source_classes.h"
#include "ddpm/data/source_decoding.h"
#include "ddpm/data/source_kinds.h"
#include "ddpm/data/stream/streamed_pictures.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm {
namespace {

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

enum class Streaming { kAuto, kOn, kOff };

Streaming parse_streaming(const std::string& text) {
  if (text == "auto") return Streaming::kAuto;
  if (text == "on") return Streaming::kOn;
  if (text == "off") return Streaming::kOff;
  fail_usage("stream", fmt::format("'{}' is no way to hold pictures; give {}", text,
                                   join_choices({"auto", "on", "off"})));
}

// What the channels of a picture, and whether it can be read, depend on besides its file.
std::string settings_of(const Fitting& fitting) {
  std::string text = fmt::format("{} {}x{}", version(), fitting.size.height, fitting.size.width);
  if (fitting.uncut) text += " uncut";
  if (fitting.fit == Fit::kCover) return text;
  const Colour& border = fitting.background;
  return text + fmt::format(" {} #{:02x}{:02x}{:02x}", fitting.fit == Fit::kPad ? "pad" : "contain",
                            border[0], border[1], border[2]);
}

// The size is chosen later.
Fitting fitting_of(const SourceOptions& options) {
  Fitting fitting;
  fitting.fit = parse_fit(options.fit);
  fitting.uncut = parse_crop(options.crop) == Crop::kRandom;
  fitting.background = parse_colour(options.background);
  check_crop(options.fit, options.crop);
  return fitting;
}

// Half of the memory is left to the training.
bool fits(int64_t count, const PictureFormat& format) {
  constexpr int64_t kMostChannels = 4;
  // Photos that are not cut are rarely longer than twice their height.
  const double longer = format.fitting.uncut ? 2 : 1;
  const int64_t channels = format.channels == 0 ? kMostChannels : format.channels;
  trim_allocator();
  return 2 * longer * memory_of_pictures(count, format.fitting.size, channels) <=
         static_cast<double>(available_memory().bytes);
}

bool is_sound(const IndexedPicture& picture) { return picture.channels > 0; }

// The classes of the sound pictures. Throws UsageError if none of a class is sound and all are
// required.
ClassLabels labels_of_sound(const std::vector<std::string>& classes,
                            const std::vector<IndexedPicture>& all, bool require_all) {
  std::vector<std::string> of_pictures;
  for (size_t i = 0; i < classes.size(); ++i)
    if (is_sound(all[i])) of_pictures.push_back(classes[i]);
  ClassLabels labels = number_classes(of_pictures);
  if (require_all) require_pictures_of_all(classes, labels);
  return labels;
}

// The class of each picture of the list, if the options ask for classes. Otherwise empty.
std::vector<std::string> classes_asked_for(const PictureList& list, const SourceOptions& options) {
  if (options.labels.empty()) {
    if (options.classes) return classes_of(list);
    return options.usable_classes ? usable_classes_of(list) : std::vector<std::string>();
  }
  if (!list.file_of) {
    fail_usage("labels",
               fmt::format("a table of labels is for the files of a folder; {} {}", list.name,
                           list.classes ? "has classes of its own: give --classes"
                                        : "has no files to name"));
  }
  return classes_of(list, options.labels);
}

// Throws Error on all ranks if they do not see the same pictures.
std::shared_ptr<const PictureList> list_on_all(const std::string& source,
                                               const SourceOptions& options) {
  std::shared_ptr<const PictureList> list;
  agree(options.ranks, [&] {
    list = std::make_shared<const PictureList>(
        list_source(source, std::make_shared<const FileReader>(options.known)));
  });
  if (options.ranks == nullptr) return list;
  Hasher files;
  for (int64_t i = 0; i < list->count; ++i) {
    if (list->file_of) {
      const SourceFile file = list->file_of(i);
      files.update(fmt::format("{}/{}/", file.name, file.bytes));
    } else {
      files.update(list->path_of(i) + "/");
    }
  }
  const std::string here = fmt::format("{} {}", list->count, files.hex());
  const std::string there = broadcast_text(*options.ranks, here);
  agree(options.ranks, [&] {
    if (here == there) return;
    fail("data", fmt::format("{} holds {} pictures here, which are not those of rank 0 ({}); all "
                             "ranks must see the same files, with the same names and sizes",
                             list->name, list->count, there.substr(0, there.find(' '))));
  });
  return list;
}

// One call of load_source() or open_source().
class Loading {
 public:
  Loading(const std::string& source, const SourceOptions& options, const LoadProgress& progress)
      : options_(options),
        progress_(progress),
        format_{.fitting = fitting_of(options),
                .channels = parse_channels(options.channels),
                .background = parse_colour(options.background)},
        list_(list_on_all(source, options)) {
    format_.fitting.size = choose_size(*list_, options.size);
    if (format_.channels == 0) format_.channels = list_->own_channels;
    report_ = {0, list_->skipped, list_->looked_for, list_->note, {}};
    known_ = KnownPictures(options.index, settings_of(format_.fitting));
    require_some(list_->count);
    classes_ = classes_asked_for(*list_, options);
  }

  void check(bool in_memory) {
    checked_ = check_all(*list_, format_, known_, in_memory, progress_, options_.ranks);
    format_.channels = checked_.channels;
    for (int64_t i = 0; i < list_->count; ++i) {
      const IndexedPicture& picture = checked_.all[static_cast<size_t>(i)];
      if (is_sound(picture))
        ++report_.loaded;
      else
        report_.skipped.push_back({list_->path_of(i), picture.reason});
    }
    std::stable_sort(report_.skipped.begin(), report_.skipped.end(),
                     [](const auto& a, const auto& b) { return a.path < b.path; });
    require_some(report_.loaded);
    fingerprint_ = list_->containers;
    for (const IndexedPicture& picture : checked_.all) {
      if (is_sound(picture) && list_->file_of) fingerprint_.files.push_back(picture.file);
    }
    if (classes_.empty()) return;
    report_.labels =
        labels_of_sound(classes_, checked_.all, options_.classes || !options_.labels.empty());
    for (SourceFile& entry : entries_of(report_.labels))
      fingerprint_.files.push_back(std::move(entry));
  }

  Dataset in_memory() {
    Dataset dataset(std::move(checked_.images), list_->name, report_.labels,
                    std::move(fingerprint_));
    // Return the memory of the decoding to the system.
    trim_allocator();
    return dataset;
  }

  LoadedPictures open();
  LoadReport take_report() { return std::move(report_); }

 private:
  bool of_rank_0(bool value) const {
    return options_.ranks == nullptr ? value : broadcast_value(*options_.ranks, value);
  }
  void require_some(int64_t pictures) const {
    if (pictures > 0) return;
    fail("data",
         fmt::format("{}: none of {} can be read; looked for {}{}", list_->name,
                     report_.skipped.size(), list_->looked_for, describe_skipped(report_.skipped)));
  }
  // From the files, and from pictures in memory that are not cut.
  std::shared_ptr<const Pictures> streamed(bool keep);
  std::shared_ptr<const Pictures> uncut_in_memory();
  std::shared_ptr<const Pictures> streamed_from(std::function<Tensor(int64_t i)> load, bool keep);
  PictureIndex take_index();

  const SourceOptions& options_;
  const LoadProgress& progress_;
  PictureFormat format_;
  std::shared_ptr<const PictureList> list_;
  KnownPictures known_;
  LoadReport report_;
  // Of each picture of the list; empty if no classes are asked for.
  std::vector<std::string> classes_;
  CheckedPictures checked_;
  DataFingerprint fingerprint_;
};

// Decodes sound pictures of a list.
class SoundPictures {
 public:
  SoundPictures(std::shared_ptr<const PictureList> list, const std::vector<IndexedPicture>& all,
                const PictureFormat& format)
      : list_(std::move(list)), format_(format) {
    for (size_t i = 0; i < all.size(); ++i) {
      if (!is_sound(all[i])) continue;
      numbers_.push_back(static_cast<int64_t>(i));
      hashes_.push_back(all[i].file.hash);
    }
  }

  Tensor load(int64_t sound) const {
    const int64_t i = numbers_[static_cast<size_t>(sound)];
    Picture picture;
    try {
      picture = list_->load(i, format_.fitting);
    } catch (const SystemError& error) {
      // Most such messages name the file.
      const std::string path = list_->path_of(i), text(without_place(error.what()));
      if (text.find(printable(path)) != std::string::npos) throw;
      fail_system("data", fmt::format("{}: {}", path, text), error.code());
    } catch (const Error& error) {
      fail("data", fmt::format("{}: {}; it could be read when the training began",
                               list_->path_of(i), without_place(error.what())));
    }
    if (picture.file.hash != hashes_[static_cast<size_t>(sound)]) {
      fail("data", fmt::format("{} has changed since the training began; put it back, or start "
                               "again with the new pictures",
                               list_->path_of(i)));
    }
    return convert_channels(picture.image, format_.channels, format_.background);
  }

 private:
  std::shared_ptr<const PictureList> list_;
  PictureFormat format_;
  // For each sound picture its number in the list and its hash.
  std::vector<int64_t> numbers_;
  std::vector<std::string> hashes_;
};

std::shared_ptr<const Pictures> Loading::uncut_in_memory() {
  const auto all = std::make_shared<std::vector<Tensor>>(std::move(checked_.uncut));
  for (Tensor& picture : *all)
    picture = convert_channels(picture, format_.channels, format_.background);
  trim_allocator();
  return streamed_from([all](int64_t i) { return (*all)[static_cast<size_t>(i)]; }, false);
}

std::shared_ptr<const Pictures> Loading::streamed(bool keep) {
  const auto sound = std::make_shared<const SoundPictures>(list_, checked_.all, format_);
  return streamed_from([sound](int64_t i) { return sound->load(i); }, keep);
}

std::shared_ptr<const Pictures> Loading::streamed_from(std::function<Tensor(int64_t i)> load,
                                                       bool keep) {
  return std::make_shared<const StreamedPictures>(
      PictureStream{.count = report_.loaded,
                    .size = format_.fitting.size,
                    .channels = format_.channels,
                    .name = list_->name,
                    .labels = report_.labels,
                    .fingerprint = std::move(fingerprint_),
                    .load = std::move(load),
                    .keep = keep});
}

PictureIndex Loading::take_index() {
  PictureIndex index{.settings = settings_of(format_.fitting), .pictures = std::move(checked_.all)};
  std::erase_if(index.pictures,
                [](const IndexedPicture& picture) { return picture.file.name.empty(); });
  return index;
}

LoadedPictures Loading::open() {
  const Streaming streaming = parse_streaming(options_.stream);
  // Rank 0 decides for all, because the free memory and the times of files may differ.
  const bool fit = of_rank_0(streaming == Streaming::kAuto && fits(list_->count, format_));
  // If the index knows all, the pictures are decoded and kept when batches need them.
  const bool uncut = format_.fitting.uncut;
  const bool keep = fit && !uncut && of_rank_0(knows_all(known_, *list_));
  const bool at_once = streaming == Streaming::kOff || (fit && !keep);
  check(at_once);
  LoadedPictures opened;
  if (at_once && uncut)
    opened.pictures = uncut_in_memory();
  else if (at_once)
    opened.pictures = std::make_shared<const Dataset>(in_memory());
  else
    opened.pictures = streamed(keep);
  opened.report = std::move(report_);
  opened.index = take_index();
  return opened;
}

}  // namespace

LoadedSource load_source(const std::string& source, const SourceOptions& options,
                         const LoadProgress& progress) {
  if (parse_crop(options.crop) == Crop::kRandom) {
    fail_usage("crop",
               "a Dataset holds pictures that are cut already; random crops need "
               "open_source()");
  }
  Loading loading(source, options, progress);
  loading.check(true);
  Dataset dataset = loading.in_memory();
  return {std::move(dataset), loading.take_report()};
}

LoadedPictures open_source(const std::string& source, const SourceOptions& options,
                           const LoadProgress& progress) {
  return Loading(source, options, progress).open();
}

}  // namespace ddpm
