#include "ddpm/data/picture_files.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "ddpm/base/error.h"
#include "ddpm/data/image.h"
#include "ddpm/data/picture_store.h"
#include "ddpm/data/unread_formats.h"

namespace ddpm {
namespace {

constexpr std::string_view kExtensions[] = {".png",  ".jpg",  ".jpeg", ".jpe",  ".jfif",
                                            ".webp", ".gif",  ".tif",  ".tiff", ".bmp",
                                            ".heic", ".heif", ".avif"};

std::string not_read(const char* format) {
  return fmt::format("{} is not read; convert it to PNG or JPEG", format);
}

}  // namespace

bool is_called_picture(const std::string& name) {
  return std::find(std::begin(kExtensions), std::end(kExtensions), extension_of(name)) !=
         std::end(kExtensions);
}

bool is_picture(const std::string& name, std::string_view start, OtherFiles& others) {
  if (const char* unread = unread_format(name, start)) fail("data", not_read(unread));
  if (is_called_picture(name) || image_format(start) != nullptr) return true;
  ++others[extension_of(name)];
  return false;
}

std::string describe_others(const OtherFiles& others) {
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

Tensor decode_picture(const std::string& name, std::string_view bytes, const Fitting& fitting) {
  if (const char* unread = unread_format(name, bytes.substr(0, kBytesThatTell)))
    fail("data", not_read(unread));
  return decode_image(bytes, fitting);
}

std::unique_lock<std::mutex> turn_of_picture(const std::string& path, const std::string& name,
                                             int64_t bytes,
                                             const std::function<std::string()>& read_start) {
  static std::mutex large_files;
  if (bytes < kLargePicture) return {};
  const std::string start = read_start();
  // This throws the reason.
  if (image_format(start) == nullptr) decode_picture(name, start, Fitting());
  std::unique_lock<std::mutex> alone(large_files);
  // A larger one is refused before it is read.
  if (bytes <= kMostPictureBytes) require_memory(path, bytes);
  return alone;
}

std::vector<std::string> first_folders(const std::string& source,
                                       const std::vector<std::string>& names) {
  std::vector<std::string> folders;
  bool any = false;
  for (const std::string& name : names) {
    const size_t slash = name.find('/');
    folders.push_back(slash == std::string::npos ? "" : name.substr(0, slash));
    any = any || !folders.back().empty();
  }
  if (!any) {
    fail_usage("classes", fmt::format("{} holds no folders to take as classes; put the pictures "
                                      "of each class into a folder of its name, or give a table: "
                                      "--labels FILE.csv",
                                      source));
  }
  return folders;
}

}  // namespace ddpm
