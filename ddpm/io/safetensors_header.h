// Reads and checks the JSON header of a safetensors file. Private to this room.
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

// Headers of more bytes are refused, as in the reference implementation.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

// `data_bytes` is the number of bytes that follow the header in the file, and `path` names the file
// in errors. On return the ranges of the entries cover the data exactly once, and each fits its
// shape and type.
SafetensorsHeader parse_safetensors_header(std::string_view text, int64_t data_bytes,
                                           const std::string& path);

// A name from a file for an error message: in quotes and shortened.
std::string in_quotes(std::string_view name);

}  // namespace ddpm
