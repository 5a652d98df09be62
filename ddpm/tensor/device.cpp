// The table of devices: their names and the memory spaces of their tensors.
#include "ddpm/tensor/device.h"

#include "ddpm/base/error.h"
#include "ddpm/tensor/allocator.h"
#include "ddpm/tensor/dry_memory.h"

namespace ddpm {
namespace {

struct Row {
  Device device;
  const char* name;
  Memory& (*memory)();
};
constexpr Row kRows[] = {{Device::kRef, "ref", host_memory},
                         {Device::kCpu, "cpu", host_memory},
                         {Device::kDry, "dry", counted_memory}};

const Row& row_of(Device device) {
  for (const Row& row : kRows) {
    if (row.device == device) return row;
  }
  fail("tensor", "unknown device");
}

}  // namespace

const char* name_of(Device device) { return row_of(device).name; }
Memory& memory_of(Device device) { return row_of(device).memory(); }

}  // namespace ddpm
