#include "ddpm/tensor/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/tensor/allocator.h"
#include "ddpm/tensor/device.h"
#include "ddpm/tensor/dry_memory.h"

namespace ddpm {
namespace {

// A memory that the host cannot access. It stores inverted bytes, so that code that reads or writes
// directly through a pointer gets wrong values.
class RemoteMemory final : public Memory {
 public:
  const char* name() const override { return "remote"; }
  bool holds_values() const override { return true; }
  bool host_can_access() const override { return false; }
  void* allocate(size_t bytes) override { return std::malloc(std::max<size_t>(bytes, 1)); }
  void release(void* block, size_t) noexcept override { std::free(block); }
  void copy_from_host(void* to, const void* from, size_t bytes) override {
    std::transform(static_cast<const unsigned char*>(from),
                   static_cast<const unsigned char*>(from) + bytes, static_cast<unsigned char*>(to),
                   [](unsigned char byte) { return static_cast<unsigned char>(~byte); });
  }
  void copy_to_host(void* to, const void* from, size_t bytes) override {
    copy_from_host(to, from, bytes);
  }
  void copy_within(void* to, const void* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void fill_zero(void* block, size_t bytes) override { std::memset(block, 0xff, bytes); }
};

// Writes the bytes 0, 1, ... and copies them through `places`, one after another.
std::vector<unsigned char> carried_through(const std::vector<Memory*>& places) {
  std::vector<unsigned char> bytes(100);
  std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(0));
  std::vector<void*> blocks;
  for (Memory* memory : places) {
    blocks.push_back(memory->allocate(bytes.size()));
    if (blocks.size() == 1) {
      memory->copy_from_host(blocks[0], bytes.data(), bytes.size());
    } else {
      copy_bytes(*memory, blocks.back(), *places[blocks.size() - 2], blocks[blocks.size() - 2],
                 bytes.size());
    }
  }
  std::fill(bytes.begin(), bytes.end(), static_cast<unsigned char>(0));
  places.back()->copy_to_host(bytes.data(), blocks.back(), bytes.size());
  for (size_t i = 0; i < blocks.size(); ++i) places[i]->release(blocks[i], bytes.size());
  return bytes;
}

TEST(Memory, BytesPassThroughAllSpacesThatHoldThem) {
  RemoteMemory one, two;
  Memory& host = host_memory();
  std::vector<unsigned char> expected(100);
  std::iota(expected.begin(), expected.end(), static_cast<unsigned char>(0));
  const std::vector<Memory*> ways[] = {
      {&host, &host}, {&host, &one}, {&one, &host}, {&one, &one}, {&one, &two, &host, &two}};
  for (const auto& way : ways) EXPECT_EQ(carried_through(way), expected);
}

TEST(Memory, CountedMemoryTakesCopiesAndGivesNone) {
  DryMemory counter;
  Memory& host = host_memory();
  Memory& counted = counted_memory();
  void* block = counted.allocate(100);
  std::vector<unsigned char> bytes(100, 7);
  copy_bytes(counted, block, host, bytes.data(), bytes.size());
  EXPECT_THROW(copy_bytes(host, bytes.data(), counted, block, bytes.size()), Error);
  EXPECT_EQ(bytes, std::vector<unsigned char>(100, 7));
  EXPECT_GE(counter.bytes_in_use(), 100);
  counted.release(block, 100);
  EXPECT_EQ(counter.bytes_in_use(), 0);
}

TEST(Memory, BackendsOfTheHostShareOneSpace) {
  EXPECT_EQ(&memory_of(Device::kRef), &memory_of(Device::kCpu));
  EXPECT_NE(&memory_of(Device::kDry), &memory_of(Device::kCpu));
}

}  // namespace
}  // namespace ddpm
