// Which picture files a run was trained on, with a hash of each. A data set that has changed is so
// noticed before a training goes on with it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

struct SourceFile {
  // Relative to the source's folder, so that a folder may be moved. Any bytes but 0.
  std::string name;
  int64_t bytes = 0;
  int64_t modified_ns = 0;  // since 1970, as the file system tells it
  std::string hash;         // of the contents: 32 hexadecimal digits, as in base/hash.h

  bool operator==(const SourceFile&) const = default;
};

// The files that gave pictures, in the order of the pictures.
struct DataFingerprint {
  std::vector<SourceFile> files;

  // Of all names and contents in their order. Times do not count.
  std::string hash() const;
};

// One JSON object a line.
std::string to_text(const DataFingerprint& fingerprint);

// The inverse. Throws Error for anything else, naming `what` (a path, say) and the line.
DataFingerprint fingerprint_from_text(std::string_view text, std::string_view what);

// "1 file added (new.png), 2 removed (a.png, b.png), 1 changed (c.png)", with at most three names
// of each kind. Names are printable. Empty where names, contents and order are the same.
std::string describe_changes(const DataFingerprint& before, const DataFingerprint& now);

}  // namespace ddpm
