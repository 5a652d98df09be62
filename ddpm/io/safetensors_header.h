// Reads and checks the JSON header of a safetensors file. Private to io.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/io/safetensors_entry.h"

namespace ddpm {

struct SafetensorsHeader {
  SafetensorsMetadata metadata;
  std::vector<SafetensorsEntry> entries;
};

// Longer headers are refused, as in the reference implementation.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

// `data_bytes` is the number of bytes after the header in the file. `path` names the file in
// errors. In the result the byte ranges of the entries cover the data exactly once, and each range
// fits its shape and type. Throws Error if the header is not valid.
SafetensorsHeader parse_safetensors_header(std::string_view text, int64_t data_bytes,
                                           const std::string& path);

// A name from a file, in quotes and shortened, for an error message.
std::string in_quotes(std::string_view name);

}  // namespace ddpm
