// Single pictures at their own size, for drawing from them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct PictureList;

// The picture of a file, or all of a folder or an archive and of the folders in it, in the order of
// their paths.
// Nothing is left out silently: what cannot be read is an error.
class InputPictures {
 public:
  // Throws Error if there is no such file or folder, if a folder or archive holds no pictures, and
  // if a part of it cannot be listed; UsageError for the folder of a training.
  explicit InputPictures(const std::string& path);

  int64_t size() const { return static_cast<int64_t>(names_.size()); }
  // Below the folder or in the archive, such as "a/1.png"; of a single file its name without
  // folders.
  const std::vector<std::string>& names() const { return names_; }
  // The folder that they lie in, or the archive.
  const std::string& folder() const { return folder_; }
  // Picture i, upright: bytes [H, W, 1, 3 or 4]. Throws Error naming the file if it is damaged.
  Tensor load(int64_t i) const;

 private:
  std::string folder_;
  std::vector<std::string> names_;
  std::shared_ptr<const PictureList> list_;
};

}  // namespace ddpm
