// Unpacks gzip files in memory. Private to this room.
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

// The first `most` bytes of the unpacked file, which may have several members. Bytes behind the
// last member are ignored, as gzip does. Throws Error naming `path` where the file is damaged.
// Checksums are checked only as far as the file is read: all of them where `more` is false.
Unpacked gunzip(std::string_view file, size_t most, const std::string& path);

}  // namespace ddpm
