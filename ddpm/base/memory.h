// How much more memory this process can take before the system refuses it or kills the process.
#pragma once

#include <cstdint>
#include <string>

namespace ddpm {

struct AvailableMemory {
  int64_t bytes = 0;
  // What sets the limit, for error messages: "the free memory of this machine", "ulimit -v".
  std::string limit;
};

// AvailableMemory::limit if it is the address space that is limited, of which threads and libraries
// take more than of memory.
inline constexpr const char* kAddressSpaceLimit = "ulimit -v";

// The smallest of these three:
//  - the free memory of the machine, counting caches that can be dropped, and free swap;
//  - what is left of the limits of this process's control groups (v1 and v2), where cached files
//    that can be dropped do not count as used;
//  - what is left of ulimit -v and -d.
// A limit that cannot be read is ignored.
AvailableMemory available_memory();

// The places that available_memory() reads. Tests give it files and limits of their own.
struct MemorySources {
  // The folder that holds proc/ and sys/.
  std::string root;
  // The limits of ulimit -v and -d in bytes; -1 for none.
  int64_t address_space = -1;
  int64_t data = -1;
};
AvailableMemory available_memory(const MemorySources& sources);

// The resident set of this process, now and at its highest, and its address space. 0 if the system
// does not tell.
struct ProcessMemory {
  int64_t resident = 0;
  int64_t peak = 0;
  int64_t address_space = 0;
};
ProcessMemory process_memory();

// "3.2 GB", "840 MB". The units are powers of 1000.
std::string memory_text(double bytes);

}  // namespace ddpm
