// CIFAR-10's binary version (https://www.cs.toronto.edu/~kriz/cifar.html): files of 3073-byte
// records, a label below 10 and then 32 x 32 red, green and blue planes.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/resize.h"
#include "ddpm/data/source_kinds.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSide = 32, kPlane = kSide * kSide, kRecord = 1 + 3 * kPlane;
constexpr const char* kLookedFor = "data_batch_*.bin, in it or in its cifar-10-batches-bin";

std::vector<std::string> batch_files(const fs::path& folder) {
  std::vector<std::string> files;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with("data_batch_") && name.ends_with(".bin"))
      files.push_back(it->path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Empty where the file is good.
std::string what_is_wrong(const std::string& bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  if (size == 0 || size % kRecord != 0)
    return fmt::format("{} bytes are no whole number of {}-byte records", size, kRecord);
  for (int64_t i = 0; i < size; i += kRecord) {
    if (const int label = static_cast<uint8_t>(bytes[i]); label > 9)
      return fmt::format("record {} has label {}, labels are 0 to 9", i / kRecord, label);
  }
  return "";
}

}  // namespace

PictureList list_cifar10(const std::string& folder) {
  require_folder(folder, kLookedFor);
  std::vector<std::string> files = batch_files(folder);
  if (files.empty()) files = batch_files(fs::path(folder) / "cifar-10-batches-bin");
  if (files.empty()) fail("cifar10", fmt::format("{} holds no {}", folder, kLookedFor));
  PictureList list;
  list.name = fmt::format("cifar10:{}", folder);
  list.looked_for = fmt::format("{}: {}", folder, kLookedFor);
  list.own_size = {kSide, kSide};
  std::string records;
  for (const std::string& path : files) {
    std::string bytes, wrong;
    try {
      bytes = read_file(path);
      wrong = what_is_wrong(bytes);
    } catch (const Error& error) {
      wrong = error.what();
    }
    if (!wrong.empty()) {
      list.skipped.push_back({path, wrong});
      continue;
    }
    for (int64_t i = 0; i < static_cast<int64_t>(bytes.size()) / kRecord; ++i)
      list.paths.push_back(fmt::format("{}#{}", path, i));
    records += bytes;
  }
  list.load = [bytes = std::make_shared<const std::string>(std::move(records))](int64_t i,
                                                                                ImageSize size) {
    Tensor image({kSide, kSide, 3}, DType::kUInt8);
    const auto* planes = reinterpret_cast<const uint8_t*>(bytes->data()) + i * kRecord + 1;
    for (int64_t p = 0; p < kPlane; ++p)
      for (int64_t c = 0; c < 3; ++c) image.u8()[p * 3 + c] = planes[c * kPlane + p];
    return fit_image(image, size);
  };
  return list;
}

}  // namespace ddpm
