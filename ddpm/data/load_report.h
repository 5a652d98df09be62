// The result of loading pictures: how many were loaded, and which files were left out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/data/pictures.h"

namespace ddpm {

struct SkippedFile {
  std::string path;
  std::string reason;
};

struct LoadReport {
  int64_t loaded = 0;
  // The damaged and unreadable files, in the source's order.
  std::vector<SkippedFile> skipped;
  // A description of the files that the source looks for, and where.
  std::string looked_for;
  // Further information for the user. May be empty.
  std::string note;
  // The classes of the loaded pictures. Empty if they have none.
  ClassLabels labels;
};

}  // namespace ddpm
