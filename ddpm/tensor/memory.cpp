#include "ddpm/tensor/memory.h"

#include <fmt/core.h>

#include <vector>

#include "ddpm/base/error.h"

namespace ddpm {

void copy_bytes(Memory& to_memory, void* to, Memory& from_memory, const void* from, size_t bytes) {
  if (!to_memory.holds_values()) return;
  if (!from_memory.holds_values()) {
    fail("copy", fmt::format("tensors in {} memory have no values that could be copied to {} "
                             "memory",
                             from_memory.name(), to_memory.name()));
  }
  if (&to_memory == &from_memory) {
    to_memory.copy_within(to, from, bytes);
  } else if (from_memory.host_can_access()) {
    to_memory.copy_from_host(to, from, bytes);
  } else if (to_memory.host_can_access()) {
    from_memory.copy_to_host(to, from, bytes);
  } else {
    std::vector<std::byte> between(bytes);
    from_memory.copy_to_host(between.data(), from, bytes);
    to_memory.copy_from_host(to, between.data(), bytes);
  }
}

}  // namespace ddpm
