// A dense, contiguous array with a shape, a type and a device. Copying a Tensor shares its storage;
// nothing here computes.
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
  // Uninitialised storage from the memory of the device, whatever the maker.
  explicit Tensor(Shape shape, DType dtype = DType::kFloat32, Device device = Device::kCpu);
  static Tensor zeros(Shape shape, Device device = Device::kCpu);
  static Tensor full(Shape shape, float value, Device device = Device::kCpu);
  // float32 from values in row-major order; throws Error where their count does not fit the shape.
  static Tensor of(Shape shape, const std::vector<float>& values, Device device = Device::kCpu);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t size(int axis) const { return shape_[axis]; }
  int64_t elements() const { return shape_.elements(); }
  int64_t bytes() const { return elements() * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  // Where the elements lie.
  Memory& memory() const { return memory_of(device_); }

  // Throw Error where the type is another, the tensor is empty, or the host cannot read its memory.
  float* f32();
  const float* f32() const;
  uint8_t* u8();
  const uint8_t* u8() const;

  // The same storage under another shape of as many elements.
  Tensor reshape(Shape shape) const;
  // Rows [begin, end) of the outermost axis, sharing storage.
  Tensor rows(int64_t begin, int64_t end) const;
  // A copy in storage of its own.
  Tensor clone() const;
  // Copies the elements of another tensor of the same shape and type, from any device.
  void copy_from(const Tensor& other);
  // The tensor for another device: the same storage where both devices use the same memory, a copy
  // otherwise. To a device without values (kDry) only the size is taken; from one it is an Error.
  Tensor to(Device device) const;

  // The elements in row-major order. Throws Error where there are none.
  std::vector<float> values() const;

  // Equal for tensors that begin at the same element of the same storage, and only for those.
  std::pair<const void*, int64_t> identity() const { return {storage_.get(), offset_}; }

  // True when no other Tensor shares the storage, so writing in place cannot be seen elsewhere.
  bool unique() const { return storage_.use_count() == 1; }

 private:
  struct Storage;
  // A pointer for `memory()` alone.
  void* place() const;
  // The same for the host; throws Error where it cannot read there.
  std::byte* raw() const;

  std::shared_ptr<Storage> storage_;
  int64_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::kFloat32;
  Device device_ = Device::kCpu;
};

}  // namespace ddpm
