// CIFAR-10's binary version (https://www.cs.toronto.edu/~kriz/cifar.html): files of records with
// 3073 bytes each. A record is a label below 10 and then 32 x 32 red, green and blue planes.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/picture_store.h"
#include "ddpm/data/resize.h"
#include "ddpm/data/source_kinds.h"

namespace ddpm {
namespace {

constexpr int64_t kSide = 32, kPlane = kSide * kSide, kRecord = 1 + 3 * kPlane;
// The most bytes of one file. The original files have 30 MB.
constexpr int64_t kMostBytes = int64_t{1} << 30;
// Of label 0, 1, ..., as batches.meta.txt has them.
constexpr const char* kClasses[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                    "dog",      "frog",       "horse", "ship", "truck"};
constexpr const char* kLookedFor = "data_batch_*.bin, in it or in its cifar-10-batches-bin";

std::vector<std::string> batch_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const std::string& name : list_names(folder)) {
    if (name.starts_with("data_batch_") && name.ends_with(".bin")) files.push_back(name);
  }
  return files;
}

void check(const std::string& bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  if (size == 0 || size % kRecord != 0) {
    fail("cifar10",
         fmt::format("{} bytes are not a whole number of {}-byte records", size, kRecord));
  }
  for (int64_t i = 0; i < size; i += kRecord) {
    if (const int label = static_cast<uint8_t>(bytes[i]); label > 9) {
      fail("cifar10", fmt::format("record {} has label {}, labels are 0 to 9", i / kRecord, label));
    }
  }
}

}  // namespace

PictureList list_cifar10(const std::string& folder, const SharedReader& reader) {
  require_folder(folder, kLookedFor);
  std::string inside = folder;
  std::vector<std::string> files = batch_files(inside);
  if (files.empty()) {
    inside = join_path(folder, "cifar-10-batches-bin");
    if (find_file(inside)) files = batch_files(inside);
  }
  if (files.empty()) fail("cifar10", fmt::format("{} holds no {}", folder, kLookedFor));
  PictureList list;
  list.name = fmt::format("cifar10:{}", folder);
  list.looked_for = fmt::format("{}: {}", folder, kLookedFor);
  list.own_size = {kSide, kSide};
  std::string records;
  // The first record of each file.
  std::vector<std::pair<int64_t, std::string>> first_of;
  for (const std::string& name : files) {
    const std::string path = join_path(inside, name);
    try {
      // The memory for the file that is being read, and for its pictures.
      require_memory(path, 2 * std::min(file_status(path).bytes, kMostBytes));
      FileReader::Contents contents = reader->read(path, name, kMostBytes);
      check(contents.bytes);
      first_of.emplace_back(list.count, path);
      list.count += static_cast<int64_t>(contents.bytes.size()) / kRecord;
      list.containers.files.push_back(std::move(contents.file));
      records += contents.bytes;
    } catch (const Error& error) {
      list.skipped.push_back({path, reason_to_skip(error)});
    }
  }
  list.path_of = [first_of](int64_t i) {
    auto file = first_of.rbegin();
    while (file->first > i) ++file;
    return fmt::format("{}#{}", file->second, i - file->first);
  };
  const auto all = std::make_shared<const std::string>(std::move(records));
  list.classes = [bytes = all, count = list.count] {
    std::vector<std::string> names;
    for (int64_t i = 0; i < count; ++i)
      names.emplace_back(kClasses[static_cast<uint8_t>((*bytes)[i * kRecord])]);
    return names;
  };
  list.load = [bytes = all](int64_t i, const Fitting& fitting) -> Picture {
    Tensor image({kSide, kSide, 3}, DType::kUInt8);
    const auto* planes = reinterpret_cast<const uint8_t*>(bytes->data()) + i * kRecord + 1;
    for (int64_t p = 0; p < kPlane; ++p)
      for (int64_t c = 0; c < 3; ++c) image.u8()[p * 3 + c] = planes[c * kPlane + p];
    return {fit_image(image, fitting), {}};
  };
  return list;
}

}  // namespace ddpm
