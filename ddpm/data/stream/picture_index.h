// What an earlier loading has found out about the files of a source, so that those that are
// unchanged need not be read again. A run keeps it beside data.jsonl.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ddpm/data/pictures.h"

namespace ddpm {

struct IndexedPicture {
  // If the picture cannot be read, the hash may be empty.
  SourceFile file;
  // The fewest channels that hold the picture. 0: it cannot be read.
  int64_t channels = 0;
  // Why it cannot be read.
  std::string reason;

  bool operator==(const IndexedPicture&) const = default;
};

struct PictureIndex {
  // All that `channels` and `reason` depend on besides the files: the version of the program, the
  // size of the pictures and how they are fitted to it.
  std::string settings;
  // In the order of the source.
  std::vector<IndexedPicture> pictures;

  bool operator==(const PictureIndex&) const = default;
};

// One JSON object per line: the settings with the hash of the other lines, then the pictures.
std::string to_text(const PictureIndex& index);
// The inverse. Throws Error for anything else, naming `what` (such as a path) and the line.
PictureIndex index_from_text(std::string_view text, std::string_view what);

// Finds pictures in an index by their files.
class KnownPictures {
 public:
  KnownPictures() = default;
  // Knows nothing if the index is null or has other settings. The index must stay where it is.
  KnownPictures(const PictureIndex* index, std::string_view settings);
  // The picture of a file with this name, size and time. Null if there is none.
  const IndexedPicture* find(const SourceFile& file) const;

 private:
  std::unordered_map<std::string_view, const IndexedPicture*> by_name_;
};

}  // namespace ddpm
