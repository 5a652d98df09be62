// Which files of a folder or an archive are pictures, and what they have in common. Private to
// data.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/data/resize.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

inline constexpr const char* kPicturesLookedFor =
    "pictures (PNG, JPEG, WebP, GIF, TIFF, BMP, HEIC, AVIF), in it and in the folders inside it";

// The largest file that is decoded.
inline constexpr int64_t kMostPictureBytes = int64_t{1} << 31;

// Whether the extension is that of a picture.
bool is_called_picture(const std::string& name);

// The number of files that are not pictures, per extension.
using OtherFiles = std::map<std::string, int64_t>;

// Whether the file is a picture, by its name or its first bytes. Counts it in `others` if not.
// Throws Error for a picture of a format that is not read.
bool is_picture(const std::string& name, std::string_view start, OtherFiles& others);

// "3 files that are not pictures (2 .txt, 1 .mp4)". Empty if there are none.
std::string describe_others(const OtherFiles& others);

// decode_image() of the contents of a file, with a reason for formats that are not read.
Tensor decode_picture(const std::string& name, std::string_view bytes, const Fitting& fitting);

// Files of at least this many bytes are loaded one at a time, so that not every thread holds one.
inline constexpr int64_t kLargePicture = int64_t{1} << 26;

// For a large file, waits until it is the only one, and returns a lock to hold as long as its
// contents. Other files get an empty lock at once. path: for messages. read_start: returns the
// first kBytesThatTell bytes. Throws Error if they are not those of a picture, and SystemError
// (ENOMEM) if there is no memory for the contents.
std::unique_lock<std::mutex> turn_of_picture(const std::string& path, const std::string& name,
                                             int64_t bytes,
                                             const std::function<std::string()>& read_start);

// The class of each picture: the first folder of its name. Throws UsageError, naming `source`, if
// there are no folders.
std::vector<std::string> first_folders(const std::string& source,
                                       const std::vector<std::string>& names);

}  // namespace ddpm
