// Files that a command will leave. Whether they can be written is found out before the work that
// fills them begins.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/base/file.h"
#include "ddpm/data/pixels.h"

namespace ddpm {
class SafetensorsWriter;
}

namespace ddpm::cli {

// Throws UsageError unless the path names a file that ends in the suffix, in letters of any case.
void check_output_name(const std::string& path, const std::string& flag, const std::string& suffix);

// True where both name the same file, through links and other spellings too.
bool same_file(const std::string& a, const std::string& b);

// A folder for outputs, cleared of temporary files that killed programs left.
class OutputFolder : public NewFolder {
 public:
  explicit OutputFolder(const std::string& path);
};

// A file in its folder, which is made. Throws SystemError where it cannot be written or a folder
// has that name.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  // Fills it and makes it appear.
  void write(std::string_view contents);
  void write(const SafetensorsWriter& tensors);

 private:
  OutputFolder folder_;
  AtomicFile file_;
};

// A folder of numbered pictures: 00000.png, ... with as many digits as the last one needs.
class PictureFolder {
 public:
  PictureFolder(std::string path, int64_t count) : path_(std::move(path)), count_(count) {}
  const std::string& path() const { return path_; }
  std::string file(int64_t k) const;
  // True where one of its pictures would have this path.
  bool holds(const std::string& file) const;
  // Makes the folder. Throws SystemError where the pictures cannot be written there.
  void open();
  // Writes picture k.
  void write(int64_t k, const Tensor& picture);

 private:
  std::string path_;
  int64_t count_;
  std::unique_ptr<OutputFolder> folder_;
};

// What libpng takes by default, and so most programs that read PNGs.
inline constexpr int64_t kMostPngSide = 1'000'000;

// Bytes to make such a picture: itself, and a copy in its encoder.
double memory_of(ImageSize size, int64_t channels);

// Throws UsageError where a picture of that size is larger than its format takes, or where `bytes`
// of memory to make it are not there.
void check_picture_output(const std::string& flag, ImageSize size, int64_t most_side, double bytes);

}  // namespace ddpm::cli
