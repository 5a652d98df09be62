// Writes fingerprints of pictures as text, reads them, and describes the differences between two.
#pragma once

#include <string>
#include <string_view>

#include "ddpm/data/pictures.h"

namespace ddpm {

// One JSON object per line.
std::string to_text(const DataFingerprint& fingerprint);

// The inverse. Throws Error for anything else, naming `what` (such as a path) and the line.
DataFingerprint fingerprint_from_text(std::string_view text, std::string_view what);

// "1 file added (new.png), 2 removed (a.png, b.png), 1 changed (c.png)", with at most three names
// of each kind. Names are printable. Empty if names, contents and order are the same.
std::string describe_changes(const DataFingerprint& before, const DataFingerprint& now);

}  // namespace ddpm
