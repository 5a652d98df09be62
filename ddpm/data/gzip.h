// gzip files in memory, as far as their reader needs them. Not for other rooms.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ddpm {

bool is_gzip(std::string_view file);

struct Unpacked {
  std::string bytes;
  bool more = false;  // there are others behind them
};

// The first `most` bytes that the file holds, of all its members in turn. Bytes behind the last
// member are ignored, as gzip does. Throws Error naming `path` where the file is damaged; where
// nothing more follows, all checksums have been checked.
Unpacked gunzip(std::string_view file, size_t most, const std::string& path);

}  // namespace ddpm
