// A dense, contiguous array with a shape, a type and a device. Copies of a Tensor share storage.
// This class computes nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ddpm/tensor/device.h"
#include "ddpm/tensor/shape.h"

namespace ddpm {

enum class DType { kFloat32, kBFloat16, kUInt8 };
int64_t size_of(DType dtype);
const char* name_of(DType dtype);

class Tensor {
 public:
  // An empty tensor: defined() is false.
  Tensor() = default;
  // Uninitialised storage in the memory of the device.
  explicit Tensor(Shape shape, DType dtype = DType::kFloat32, Device device = Device::kCpu);
  static Tensor zeros(Shape shape, Device device = Device::kCpu);
  static Tensor full(Shape shape, float value, Device device = Device::kCpu);
  // A float32 tensor from values in row-major order. Throws Error if their number does not fit the
  // shape.
  static Tensor of(Shape shape, const std::vector<float>& values, Device device = Device::kCpu);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t size(int axis) const { return shape_[axis]; }
  int64_t elements() const { return shape_.elements(); }
  int64_t bytes() const { return elements() * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  // The memory space of the elements.
  Memory& memory() const { return memory_of(device_); }

  // Throw Error if the tensor has another type, is empty, or is in memory that the host cannot
  // read.
  float* f32();
  const float* f32() const;
  uint8_t* u8();
  const uint8_t* u8() const;

  // The same storage with another shape. Throws Error if the number of elements differs.
  Tensor reshape(Shape shape) const;
  // Rows [begin, end) of the outermost axis. Shares storage. Throws Error if they are out of range.
  Tensor rows(int64_t begin, int64_t end) const;
  // A copy with its own storage.
  Tensor clone() const;
  // Copies the elements of another tensor, on any device. Throws Error if shape or type differ.
  void copy_from(const Tensor& other);
  // The tensor for another device: the same storage if both devices use the same memory, otherwise
  // a copy. For a device without values (kDry) only the size is taken. Throws Error for a copy from
  // such a device.
  Tensor to(Device device) const;

  // The elements in row-major order. Throws Error if there are none.
  std::vector<float> values() const;

  // Equal for tensors that begin at the same element of the same storage, and only for those.
  std::pair<const void*, int64_t> identity() const { return {storage_.get(), offset_}; }

  // True if no other Tensor shares the storage. A write in place then affects no other Tensor.
  bool unique() const { return storage_.use_count() == 1; }

 private:
  struct Storage;
  // A pointer that only the functions of `memory()` may use.
  void* place() const;
  // A pointer that the host may use. Throws Error if the host cannot read the memory.
  std::byte* raw() const;

  std::shared_ptr<Storage> storage_;
  // In bytes.
  int64_t offset_ = 0;
  Shape shape_;
  DType dtype_ = DType::kFloat32;
  Device device_ = Device::kCpu;
};

}  // namespace ddpm
