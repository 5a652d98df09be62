// Shared by the fuzz targets. A target takes any bytes. The code that it calls may throw only
// Error, and the text of an Error must be one line that is safe to show.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "ddpm/base/error.h"
#include "ddpm/base/text.h"

namespace ddpm::fuzz {

// Checks a condition that must hold for every input.
inline void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what.c_str());
  std::abort();
}

// True if nothing was thrown.
template <class Act>
bool succeeds(const Act& act) {
  try {
    act();
    return true;
  } catch (const Error& error) {
    require(printable(error.what()) == error.what(), "an error's text is safe to show");
    return false;
  }
}

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A folder in memory, removed when the process ends.
class Folder {
 public:
  Folder() : path_("/dev/shm/ddpm-fuzz-" + std::to_string(getpid())) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }
  // Writes a file and returns its path.
  std::string write(const std::string& name, std::string_view contents) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << contents;
    return path;
  }

 private:
  std::string path_;
};

}  // namespace ddpm::fuzz
