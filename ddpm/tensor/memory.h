// Where the bytes of tensors lie. One object for each memory space; several backends may share one.
// A new space is a class derived from Memory and a row of the table in device.cpp.
#pragma once

#include <cstddef>

namespace ddpm {

// Blocks come from allocate() and are known by their first byte. Thread-safe. Where
// holds_values() is false a block stands for its size alone, and copies do nothing.
class Memory {
 public:
  // For messages: "host".
  virtual const char* name() const = 0;
  // Whether what is written can be read back at all.
  virtual bool holds_values() const = 0;
  // Whether the host may read and write the bytes of a block through its pointer.
  virtual bool host_can_access() const = 0;

  // The contents are undefined. Throws Error where there is no memory left.
  virtual void* allocate(size_t bytes) = 0;
  // `bytes` as given to allocate(); block may be null.
  virtual void release(void* block, size_t bytes) noexcept = 0;

  // Copies of `bytes` bytes; `to` and `from` may point into blocks and do not overlap.
  virtual void copy_from_host(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_to_host(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_within(void* to, const void* from, size_t bytes) = 0;
  virtual void fill_zero(void* block, size_t bytes) = 0;

 protected:
  // Spaces live as long as the program: tensors may be released after any destructor.
  ~Memory() = default;
};

// Copies from one space to another, or within one. Throws Error where `to` holds values and `from`
// holds none.
void copy_bytes(Memory& to_memory, void* to, Memory& from_memory, const void* from, size_t bytes);

}  // namespace ddpm
