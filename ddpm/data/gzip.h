// Unpacks gzip files in memory. Private to data.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ddpm {

bool is_gzip(std::string_view file);

struct Unpacked {
  std::string bytes;
  // True if the file has further bytes behind these.
  bool more = false;
};

// The first `most` bytes of the unpacked file, which may have several members. As in gzip, bytes
// after the last member are ignored. Throws Error naming `path` if the file is damaged. Checksums
// are checked only as far as the file is read. If `more` is false, all of them were checked.
Unpacked gunzip(std::string_view file, size_t most, const std::string& path);

}  // namespace ddpm
