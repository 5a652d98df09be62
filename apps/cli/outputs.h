// The output files of a command. The command finds out whether they can be written before it starts
// the work that fills them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/base/file.h"
#include "ddpm/data/pixels.h"

namespace ddpm {
class SafetensorsWriter;
}

namespace ddpm::cli {

// Throws UsageError unless the path names a file that ends in the suffix. Case does not matter.
void check_output_name(const std::string& path, const std::string& flag, const std::string& suffix);

// True if both paths name the same file. Links and other spellings are resolved.
bool same_file(const std::string& a, const std::string& b);
// True if `path` lies in the folder or in a folder inside it. False if there is no such folder.
bool lies_inside(const std::string& path, const std::string& folder);

// A folder for outputs. Temporary files that killed programs left in it are removed.
class OutputFolder : public NewFolder {
 public:
  explicit OutputFolder(const std::string& path);
};

// An output file. The constructor creates its folder, and throws SystemError if the file cannot be
// written or a folder has its name.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  // Writes the contents and gives the file its final name.
  void write(std::string_view contents);
  void write(const SafetensorsWriter& tensors);

 private:
  OutputFolder folder_;
  AtomicFile file_;
};

// Creates the folder of an output file, and runs `save`, which writes the file. If it throws, a new
// folder is removed again.
void save_output(const std::string& path, const std::function<void()>& save);

// A folder of pictures: numbered, 00000.png, ... with as many digits as the last number needs, or
// with names of their own.
class PictureFolder {
 public:
  // names: one for each, without ".png"; those with slashes go to folders inside. None: numbered.
  PictureFolder(std::string path, int64_t count, std::vector<std::string> names = {})
      : path_(std::move(path)), count_(count), names_(std::move(names)) {}
  ~PictureFolder();
  PictureFolder(const PictureFolder&) = delete;
  PictureFolder& operator=(const PictureFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(int64_t k) const;
  // True if one of the pictures would have this path.
  bool holds(const std::string& file) const;
  // Creates the folder and those inside. Throws SystemError if the pictures cannot be written
  // there, and UsageError if one would have the name of a folder, a device or a pipe.
  void open();
  // Writes picture k, or the PNG file of it. A symbolic link of that name is replaced. Does not
  // wait for the disk: see AtomicFileOptions::sync.
  void write(int64_t k, const Tensor& picture);
  void write(int64_t k, std::string_view png);

 private:
  void open_folder(int64_t k);

  std::string path_;
  int64_t count_;
  std::vector<std::string> names_;  // empty if they are numbered
  std::set<std::string> known_;     // of folders_
  std::vector<std::unique_ptr<OutputFolder>> folders_;
};

// The default limit of libpng, and therefore of most programs that read PNGs.
inline constexpr int64_t kMostPngSide = 1'000'000;

// The memory to make such a picture: the picture, and a copy in its encoder.
double memory_of(ImageSize size, int64_t channels);

// Throws UsageError if a picture of that size is larger than its format allows, or if there are not
// `bytes` of free memory to make it.
void check_picture_output(const std::string& flag, ImageSize size, int64_t most_side, double bytes);

}  // namespace ddpm::cli
