// MNIST and similar sets: one IDX file of grey images, often gzipped. The file holds the big-endian
// numbers 0x00000803, count, height and width, and then count * height * width bytes
// (http://yann.lecun.com/exdb/mnist). In EMNIST rows and columns are swapped.
#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/data/gzip.h"
#include "ddpm/data/picture_store.h"
#include "ddpm/data/resize.h"
#include "ddpm/data/source_kinds.h"

namespace ddpm {
namespace {

// The folders in which torchvision and the archives of the sets put the files.
constexpr const char* kPlaces[] = {"raw",        "gzip",         "MNIST/raw",  "FashionMNIST/raw",
                                   "KMNIST/raw", "QMNIST/raw",   "EMNIST/raw", "EMNIST/raw/gzip",
                                   "MNIST",      "FashionMNIST", "KMNIST",     "QMNIST",
                                   "EMNIST"};
constexpr const char* kSets[] = {"train-images",
                                 "emnist-balanced-train-images",
                                 "emnist-byclass-train-images",
                                 "emnist-bymerge-train-images",
                                 "emnist-digits-train-images",
                                 "emnist-letters-train-images",
                                 "emnist-mnist-train-images",
                                 "qmnist-train-images"};
constexpr const char* kEndings[] = {"-idx3-ubyte", ".idx3-ubyte", "-idx3-ubyte.gz",
                                    ".idx3-ubyte.gz"};
constexpr const char* kLookedFor =
    "train-images-idx3-ubyte, emnist-letters-train-images-idx3-ubyte and the like, plain or with "
    ".gz, in it or in its raw, MNIST/raw, FashionMNIST/raw, KMNIST/raw or EMNIST/raw";

constexpr int64_t kHeader = 16;

// gzip makes pictures about five times smaller, and drawings perhaps a hundred times. A file that
// was made to fill memory may be packed a thousand times.
constexpr int64_t kMostRatio = 256, kUnsuspicious = 1 << 20;

int64_t big_endian(const std::string& bytes, size_t offset) {
  int64_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}

struct Header {
  int64_t count, height, width;
  // Below 2^57.
  int64_t bytes() const { return kHeader + count * height * width; }
};

Header parse_header(const std::string& bytes, const std::string& path) {
  constexpr int64_t kMagic = 0x803, kLargestSide = 4096;
  if (bytes.size() < kHeader || big_endian(bytes, 0) != kMagic) {
    fail("mnist", fmt::format("{} is not an IDX file of images: it does not start with 00 00 08 03 "
                              "and three sizes",
                              path));
  }
  const Header header{big_endian(bytes, 4), big_endian(bytes, 8), big_endian(bytes, 12)};
  if (header.count < 1 || header.height < 1 || header.width < 1 || header.height > kLargestSide ||
      header.width > kLargestSide) {
    fail("mnist", fmt::format("{} claims to hold {} images of {} x {}, which is impossible", path,
                              header.count, header.height, header.width));
  }
  return header;
}

std::string promise_of(const Header& header) {
  return fmt::format("{} images of {} x {} are {} bytes", header.count, header.height, header.width,
                     header.bytes());
}

[[noreturn]] void fail_truncated(const std::string& path, const Header& header, size_t bytes) {
  fail("mnist", fmt::format("{} is truncated: {}, it has {}", path, promise_of(header), bytes));
}

[[noreturn]] void fail_longer(const std::string& path, const Header& header) {
  fail("mnist", fmt::format("{} holds more than its header says: {}; the file is damaged", path,
                            promise_of(header)));
}

struct Images {
  Header header;
  // Includes the header.
  std::string bytes;
  SourceFile file;
};

// The sizes in the header are compared with the file's size before the rest is read or unpacked.
Images read_images(const std::string& path, const FileReader& reader) {
  // Enough for a gzip header with its names, and 16 bytes.
  constexpr size_t kStart = 1 << 20;
  const std::string start = read_start(path, kStart);
  const int64_t size = file_status(path).bytes;
  Images images;
  if (!is_gzip(start)) {
    images.header = parse_header(start, path);
    const int64_t promised = images.header.bytes();
    if (size < promised) fail_truncated(path, images.header, static_cast<size_t>(size));
    if (size > promised) fail_longer(path, images.header);
    require_memory(path, promised);
    FileReader::Contents contents = reader.read(path, base_name(path), promised);
    images.bytes = std::move(contents.bytes);
    images.file = std::move(contents.file);
  } else {
    images.header = parse_header(gunzip(start, kHeader, path).bytes, path);
    const int64_t promised = images.header.bytes();
    if (promised > kUnsuspicious && promised / kMostRatio > size) {
      fail(
          "mnist",
          fmt::format("{} has {} bytes and claims {} images of {} x {}, more than {} times as many "
                      "bytes; if that is right, unpack it with gunzip first",
                      path, size, images.header.count, images.header.height, images.header.width,
                      kMostRatio));
    }
    require_memory(path, size + promised);
    FileReader::Contents contents = reader.read(path, base_name(path), size);
    images.file = std::move(contents.file);
    Unpacked unpacked = gunzip(contents.bytes, static_cast<size_t>(promised), path);
    if (unpacked.more) fail_longer(path, images.header);
    images.bytes = std::move(unpacked.bytes);
  }
  if (static_cast<int64_t>(images.bytes.size()) < images.header.bytes())
    fail_truncated(path, images.header, images.bytes.size());
  return images;
}

// Finds the files of training images in a folder, one for each set.
std::vector<std::string> find_sets(const std::string& folder) {
  std::vector<std::string> found;
  const std::optional<FileStatus> status = find_file(folder);
  if (!status || status->type != FileType::kFolder) return found;
  for (const char* set : kSets) {
    for (const char* ending : kEndings) {
      const std::string path = join_path(folder, fmt::format("{}{}", set, ending));
      if (!find_file(path)) continue;
      found.push_back(path);
      break;
    }
  }
  return found;
}

std::string find_images(const std::string& folder) {
  std::vector<std::string> found = find_sets(folder);
  if (found.empty()) {
    for (const char* place : kPlaces) {
      const std::vector<std::string> more = find_sets(join_path(folder, place));
      found.insert(found.end(), more.begin(), more.end());
    }
  }
  if (found.empty()) fail("mnist", fmt::format("{} holds no {}", folder, kLookedFor));
  if (found.size() > 1) {
    fail_usage("mnist", fmt::format("{} holds {} sets: {}; choose one such as mnist:{}", folder,
                                    found.size(), join_choices(found), found.back()));
  }
  return found.front();
}

// train-images-idx3-ubyte -> train-labels-idx1-ubyte, plain or packed; empty where no such file is
// there.
std::string find_labels(const std::string& images) {
  std::string name = base_name(images);
  for (const auto& [from, to] : {std::pair{"images", "labels"}, std::pair{"idx3", "idx1"}}) {
    const size_t at = name.find(from);
    if (at == std::string::npos) return "";
    name.replace(at, std::string_view(from).size(), to);
  }
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  const std::string path = images.substr(0, images.size() - base_name(images).size()) + name;
  for (const std::string& found : {path, path + ".gz"})
    if (find_file(found)) return found;
  return "";
}

// The format of labels: 0x00000801, count, then a byte each.
std::vector<std::string> read_labels(const std::string& images, int64_t count) {
  constexpr int64_t kMagic = 0x801;
  constexpr size_t kLabelHeader = 8;
  const std::string path = find_labels(images);
  if (path.empty()) {
    fail_usage("mnist", fmt::format("there are no labels beside {}; --classes needs the file that "
                                    "its set calls train-labels-idx1-ubyte or the like",
                                    images));
  }
  const auto promised = kLabelHeader + static_cast<size_t>(count);
  // Packed, labels do not grow by more than this.
  std::string bytes = read_file(path, promised + (1 << 16));
  if (is_gzip(bytes)) {
    Unpacked unpacked = gunzip(bytes, promised, path);
    if (unpacked.more) unpacked.bytes += ' ';
    bytes = std::move(unpacked.bytes);
  }
  if (bytes.size() < kLabelHeader || big_endian(bytes, 0) != kMagic) {
    fail("mnist", fmt::format("{} is no IDX file of labels: it does not start with 00 00 08 01 and "
                              "their number",
                              path));
  }
  if (big_endian(bytes, 4) != count || bytes.size() != promised) {
    fail("mnist", fmt::format("{} is for {} images and holds {} labels; {} holds {} images", path,
                              big_endian(bytes, 4), bytes.size() - kLabelHeader, images, count));
  }
  std::vector<std::string> names;
  for (size_t i = kLabelHeader; i < bytes.size(); ++i)
    names.push_back(std::to_string(static_cast<uint8_t>(bytes[i])));
  return names;
}

Tensor image_at(const Images& images, int64_t i, bool transposed) {
  const auto [count, height, width] = images.header;
  const auto* stored =
      reinterpret_cast<const uint8_t*>(images.bytes.data()) + kHeader + i * height * width;
  if (!transposed) {
    Tensor image({height, width, 1}, DType::kUInt8);
    std::copy_n(stored, image.bytes(), image.u8());
    return image;
  }
  Tensor image({width, height, 1}, DType::kUInt8);
  for (int64_t y = 0; y < width; ++y)
    for (int64_t x = 0; x < height; ++x) image.u8()[y * height + x] = stored[x * width + y];
  return image;
}

}  // namespace

PictureList list_mnist(const std::string& argument, const SharedReader& reader) {
  const std::optional<FileStatus> status = find_file(argument);
  const bool is_file = status && status->type == FileType::kRegular;
  if (!is_file) require_folder(argument, kLookedFor);
  const std::string path = is_file ? argument : find_images(argument);
  const bool transposed = base_name(path).starts_with("emnist");
  const auto images = std::make_shared<const Images>(read_images(path, *reader));
  const Header& header = images->header;
  PictureList list;
  list.name = fmt::format("mnist:{}", argument);
  list.looked_for = path;
  list.own_size =
      transposed ? ImageSize{header.width, header.height} : ImageSize{header.height, header.width};
  list.own_channels = 1;
  list.count = header.count;
  list.containers.files = {images->file};
  list.path_of = [path](int64_t i) { return fmt::format("{}#{}", path, i); };
  list.classes = [path, count = header.count] { return read_labels(path, count); };
  list.load = [images, transposed](int64_t i, const Fitting& fitting) -> Picture {
    return {fit_image(image_at(*images, i, transposed), fitting), {}};
  };
  return list;
}

}  // namespace ddpm
