// How much memory this process may still take before the system refuses it or ends it.
#pragma once

#include <cstdint>
#include <string>

namespace ddpm {

struct AvailableMemory {
  int64_t bytes = 0;
  std::string limit;  // what sets it, for people: "the free memory of this machine", "ulimit -v"
};

// The least of the machine's free memory (with what caches would give back, and free swap), the
// limits of the control groups this process is in (v2 and v1, each without the cached files that
// would be given back), and the limits of ulimit -v and -d. What cannot be read limits nothing.
AvailableMemory available_memory();

// The same for other files and limits, for tests.
struct MemorySources {
  std::string root;            // before /proc and /sys
  int64_t address_space = -1;  // limits of ulimit -v and -d in bytes, -1 for none
  int64_t data = -1;
};
AvailableMemory available_memory(const MemorySources& sources);

// "3.2 GB", "840 MB": in powers of 1000.
std::string memory_text(double bytes);

}  // namespace ddpm
