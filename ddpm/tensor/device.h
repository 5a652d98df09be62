// The backends that compute on tensors, and the memory that each of them uses.
#pragma once

namespace ddpm {

class Memory;

// The backend that computes on a tensor. kRef and kCpu compute in host memory. kDry computes
// nothing: its tensors have a size but no values.
enum class Device { kRef, kCpu, kDry };
const char* name_of(Device device);

// The memory space (memory.h) in which the tensors of a device lie.
Memory& memory_of(Device device);

}  // namespace ddpm
