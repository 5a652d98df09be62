#include "apps/cli/outputs.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>

#include "ddpm/base/error.h"
#include "ddpm/base/memory.h"
#include "ddpm/data/image.h"
#include "ddpm/io/safetensors.h"

namespace ddpm::cli {
namespace {

namespace fs = std::filesystem;

// The absolute path. Links are followed as far as the path exists.
fs::path resolved(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  const fs::path canonical = fs::weakly_canonical(absolute, error);
  return error ? absolute.lexically_normal() : canonical;
}

// Removes what killed programs left. If this fails, outputs can still be written.
void tidy(const std::string& folder) {
  try {
    remove_abandoned_files(folder);
  } catch (const Error&) {
  }
}

// Empty if the folder may be written but not listed.
std::vector<std::string> names_in(const std::string& folder) {
  try {
    return list_names(folder);
  } catch (const SystemError& error) {
    if (error.code() == EACCES) return {};
    throw;
  }
}

}  // namespace

void check_output_name(const std::string& path, const std::string& flag,
                       const std::string& suffix) {
  const fs::path file(path);
  std::string extension = file.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension == suffix) return;
  fs::path better = file.has_filename() && !file.stem().empty() ? file : file / "pictures";
  better.replace_extension(suffix);
  fail_usage("out", fmt::format("{} is {}; its name must end in {}, such as {}", flag, path, suffix,
                                better.string()));
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  return resolved(a) == resolved(b) || fs::equivalent(a, b, error);
}

bool lies_inside(const std::string& path, const std::string& folder) {
  std::error_code error;
  const fs::path outer = fs::canonical(folder, error);
  if (error || !fs::is_directory(outer, error)) return false;
  const fs::path inner = fs::weakly_canonical(fs::absolute(path), error).parent_path();
  return !error &&
         std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

OutputFolder::OutputFolder(const std::string& path) : NewFolder(path) { tidy(path); }

namespace {

std::string folder_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : folder_(folder_of(path)), file_(path) {}

void save_output(const std::string& path, const std::function<void()>& save) {
  OutputFolder folder(folder_of(path));
  save();
  folder.keep();
}

void OutputFile::write(std::string_view contents) {
  file_.write(contents);
  file_.commit();
  folder_.keep();
}

void OutputFile::write(const SafetensorsWriter& tensors) {
  tensors.write(file_);
  folder_.keep();
}

std::string PictureFolder::file(int64_t k) const {
  if (!names_.empty())
    return (fs::path(path_) / (names_[static_cast<size_t>(k)] + ".png")).string();
  const size_t digits = std::max<size_t>(5, std::to_string(count_ - 1).size());
  return (fs::path(path_) / fmt::format("{:0{}}.png", k, digits)).string();
}

PictureFolder::~PictureFolder() {
  while (!folders_.empty()) folders_.pop_back();  // those inside first
}

bool PictureFolder::holds(const std::string& file) const {
  if (!names_.empty()) {
    return std::any_of(names_.begin(), names_.end(), [&](const std::string& name) {
      return same_file((fs::path(path_) / (name + ".png")).string(), file);
    });
  }
  const std::string stem = fs::path(file).stem().string();
  int64_t k = -1;
  std::from_chars(stem.data(), stem.data() + stem.size(), k);
  return k >= 0 && k < count_ && same_file(this->file(k), file);
}

// Makes the folder of picture k, unless that is done.
void PictureFolder::open_folder(int64_t k) {
  const std::string folder = fs::path(file(k)).parent_path().string();
  if (!known_.insert(folder).second) return;
  folders_.push_back(std::make_unique<OutputFolder>(folder));
  // Only a test whether files can be created: it is removed again.
  const AtomicFile trial(file(k), {.follow_links = false});
}

void PictureFolder::open() {
  const auto refuse_others = [](const std::string& path) {
    if (is_link(path)) return;
    const std::optional<FileStatus> found = find_file(path);
    if (!found || found->type == FileType::kRegular) return;
    fail_usage("file", fmt::format("{} is {}; remove it, or choose another folder", path,
                                   found->type == FileType::kFolder
                                       ? "a folder, where a picture must be written"
                                       : "neither a file nor a folder"));
  };
  for (int64_t k = 0; k < static_cast<int64_t>(names_.size()); ++k) {
    refuse_others(file(k));
    open_folder(k);
  }
  if (!names_.empty()) return;
  refuse_others(file(0));
  open_folder(0);
  for (const std::string& name : names_in(path_)) {
    const std::string path = (fs::path(path_) / name).string();
    if (holds(path)) refuse_others(path);
  }
}

void PictureFolder::write(int64_t k, const Tensor& picture) { write(k, encode_png(picture)); }

void PictureFolder::write(int64_t k, std::string_view png) {
  // A picture that is lost with the computer's power is simply made again, so that none needs to
  // wait for the disk.
  write_file_atomic(file(k), png, {.sync = false, .follow_links = false});
  for (const auto& folder : folders_) folder->keep();
}

double memory_of(ImageSize size, int64_t channels) {
  return 2.0 * static_cast<double>(size.height) * static_cast<double>(size.width) *
         static_cast<double>(channels);
}

void check_picture_output(const std::string& flag, ImageSize size, int64_t most_side,
                          double bytes) {
  const char* smaller = "use a smaller --n, --size or --scale, or other --columns";
  if (std::max(size.height, size.width) > most_side) {
    fail_usage("out", fmt::format("{} would be a picture of {} x {} pixels; its format allows {} a "
                                  "side; {}",
                                  flag, size.height, size.width, most_side, smaller));
  }
  const AvailableMemory available = available_memory();
  if (bytes > static_cast<double>(available.bytes)) {
    fail_usage("out", fmt::format("{} would be a picture of {} x {} pixels, which needs {} of "
                                  "memory; {} are available ({}); {}",
                                  flag, size.height, size.width, memory_text(bytes),
                                  memory_text(available.bytes), available.limit, smaller));
  }
}

}  // namespace ddpm::cli
