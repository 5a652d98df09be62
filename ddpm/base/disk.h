// The space that is left on a disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ddpm {

// True for an errno that says that the disk, or this user's share of it, is full. Space may become
// free again, so the same call may succeed later.
bool is_disk_full(int code);

// How many bytes this user may still write to the disk of a folder. nullopt if the system does not
// tell.
std::optional<int64_t> free_disk_bytes(const std::string& folder);

}  // namespace ddpm
