// A Memory is a place for the bytes of tensors. There is one object for each memory space, and
// several backends may share it. A new space needs a class derived from Memory and a row of the
// table in device.cpp.
#pragma once

#include <cstddef>

namespace ddpm {

// allocate() returns the first byte of a block, which identifies the block. Thread-safe. If
// holds_values() is false, a block has a size but no contents, and copies do nothing.
class Memory {
 public:
  // The name for messages: "host".
  virtual const char* name() const = 0;
  // Whether values that were written can be read back.
  virtual bool holds_values() const = 0;
  // Whether the host may read and write the bytes of a block through its pointer.
  virtual bool host_can_access() const = 0;

  // Returns a block with undefined contents. Throws Error if there is no memory left.
  virtual void* allocate(size_t bytes) = 0;
  // `bytes` is the number given to allocate(). block may be null.
  virtual void release(void* block, size_t bytes) noexcept = 0;

  // Copy `bytes` bytes. `to` and `from` may point into blocks and must not overlap.
  virtual void copy_from_host(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_to_host(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_within(void* to, const void* from, size_t bytes) = 0;
  virtual void fill_zero(void* block, size_t bytes) = 0;

 protected:
  // Memory spaces exist until the program ends: tensors may be released after any destructor.
  ~Memory() = default;
};

// Copies from one space to another, or within one. Throws Error if `to` holds values but `from`
// does not.
void copy_bytes(Memory& to_memory, void* to, Memory& from_memory, const void* from, size_t bytes);

}  // namespace ddpm
