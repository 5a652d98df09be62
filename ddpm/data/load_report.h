// What a loading of pictures found, and what it left out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ddpm {

struct SkippedFile {
  std::string path;
  std::string reason;
};

struct LoadReport {
  int64_t loaded = 0;
  // The damaged and unreadable files, in the source's order.
  std::vector<SkippedFile> skipped;
  // What the source takes, and where it looked.
  std::string looked_for;
  // What else a user should know; may be empty.
  std::string note;
};

}  // namespace ddpm
