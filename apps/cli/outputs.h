// Files that a command will leave. Whether they can be written is found out before the work that
// fills them begins.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "ddpm/base/file.h"
#include "ddpm/data/pixels.h"

namespace ddpm::cli {

// Throws UsageError unless the path names a file that ends in the suffix, in letters of any case.
void check_output_name(const std::string& path, const std::string& flag, const std::string& suffix);

// True where both name the same file, through links and other spellings too.
bool same_file(const std::string& a, const std::string& b);

// Creates the folder that the file goes to and the temporary file in it, and removes those that
// killed programs left there. Throws SystemError where
// that fails or a folder has that name.
std::unique_ptr<AtomicFile> open_output(const std::string& path);

// A folder of numbered pictures: 00000.png, ... with as many digits as the last one needs.
class PictureFolder {
 public:
  PictureFolder(std::string path, int64_t count) : path_(std::move(path)), count_(count) {}
  const std::string& path() const { return path_; }
  std::string file(int64_t k) const;
  // True where one of its pictures would have this path.
  bool holds(const std::string& file) const;
  // Creates the folder. Throws SystemError where the pictures cannot be written there.
  void open() const;

 private:
  std::string path_;
  int64_t count_;
};

// What the formats take, and programs that read them: libpng's own limit for PNG.
inline constexpr int64_t kMostPngSide = 1'000'000;
inline constexpr int64_t kMostWebpSide = 16383;

// Bytes to make such a picture: itself, and a copy in its encoder.
double memory_of(ImageSize size, int64_t channels);

// Throws UsageError where a picture of that size is larger than its format takes, or where `bytes`
// of memory to make it are not there.
void check_picture_output(const std::string& flag, ImageSize size, int64_t most_side, double bytes);

}  // namespace ddpm::cli
