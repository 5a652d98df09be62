// The JSON header of a safetensors file, checked whole. Private to io/.
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

// Longer headers are refused, as the reference implementation does.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

// `data_bytes` is how many bytes follow the header in the file, `path` names it in errors.
// On return the entries' ranges cover the data exactly once and each fits its shape and type.
SafetensorsHeader parse_safetensors_header(std::string_view text, int64_t data_bytes,
                                           const std::string& path);

// A name out of a file for an error message: in quotes and shortened.
std::string in_quotes(std::string_view name);

}  // namespace ddpm
