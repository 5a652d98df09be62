#include "ddpm/tensor/tensor.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {

int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return 4;
    case DType::kBFloat16:
      return 2;
    case DType::kUInt8:
      return 1;
  }
  fail("tensor", "unknown element type");
}

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kUInt8:
      return "uint8";
  }
  fail("tensor", "unknown element type");
}

struct Tensor::Storage {
  Storage(Memory& space, size_t size) : memory(space), bytes(size), block(space.allocate(size)) {}
  ~Storage() { memory.release(block, bytes); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  Memory& memory;
  size_t bytes;
  void* block;
};

Tensor::Tensor(Shape shape, DType dtype, Device device)
    : storage_(std::make_shared<Storage>(memory_of(device),
                                         static_cast<size_t>(shape.elements() * size_of(dtype)))),
      shape_(shape),
      dtype_(dtype),
      device_(device) {}

Tensor Tensor::zeros(Shape shape, Device device) {
  Tensor tensor(shape, DType::kFloat32, device);
  tensor.memory().fill_zero(tensor.place(), static_cast<size_t>(tensor.bytes()));
  return tensor;
}

Tensor Tensor::full(Shape shape, float value, Device device) {
  Tensor tensor(shape, DType::kFloat32, device);
  if (tensor.memory().host_can_access()) {
    std::fill_n(tensor.f32(), tensor.elements(), value);
  } else if (tensor.memory().holds_values()) {
    tensor.copy_from(full(shape, value, Device::kCpu));
  }
  return tensor;
}

Tensor Tensor::of(Shape shape, const std::vector<float>& values, Device device) {
  if (static_cast<int64_t>(values.size()) != shape.elements()) {
    fail("tensor", fmt::format("{} values do not fill the shape {}", values.size(), shape.str()));
  }
  Tensor tensor(shape, DType::kFloat32, device);
  tensor.memory().copy_from_host(tensor.place(), values.data(),
                                 static_cast<size_t>(tensor.bytes()));
  return tensor;
}

void* Tensor::place() const {
  if (!defined()) fail("tensor", "an empty tensor has no elements");
  return static_cast<std::byte*>(storage_->block) + offset_;
}

std::byte* Tensor::raw() const {
  void* const there = place();
  const Memory& space = storage_->memory;
  if (!space.holds_values())
    fail("tensor", fmt::format("a tensor of the device {} holds no values", name_of(device_)));
  if (!space.host_can_access()) {
    fail("tensor", fmt::format("the host cannot read {} memory; copy the tensor with "
                               "to(Device::kCpu)",
                               space.name()));
  }
  return static_cast<std::byte*>(there);
}

float* Tensor::f32() { return const_cast<float*>(std::as_const(*this).f32()); }

const float* Tensor::f32() const {
  if (dtype_ != DType::kFloat32)
    fail("tensor", fmt::format("elements are {}, not float32", name_of(dtype_)));
  return reinterpret_cast<const float*>(raw());
}

uint8_t* Tensor::u8() { return const_cast<uint8_t*>(std::as_const(*this).u8()); }

const uint8_t* Tensor::u8() const {
  if (dtype_ != DType::kUInt8)
    fail("tensor", fmt::format("elements are {}, not uint8", name_of(dtype_)));
  return reinterpret_cast<const uint8_t*>(raw());
}

Tensor Tensor::reshape(Shape shape) const {
  if (shape.elements() != elements()) {
    fail("reshape", fmt::format("{} has {} elements and cannot become {}", shape_.str(), elements(),
                                shape.str()));
  }
  Tensor view = *this;
  view.shape_ = shape;
  return view;
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  if (shape_.rank() < 1 || begin < 0 || begin > end || end > shape_[0]) {
    fail("rows", fmt::format("{} has no rows [{}, {})", shape_.str(), begin, end));
  }
  int64_t extents[Shape::kMaxRank];
  std::copy(shape_.begin(), shape_.end(), extents);
  extents[0] = end - begin;
  Tensor view = *this;
  view.shape_ = Shape(extents, shape_.rank());
  view.offset_ += begin * (shape_[0] == 0 ? 0 : bytes() / shape_[0]);
  return view;
}

Tensor Tensor::clone() const {
  Tensor copy(shape_, dtype_, device_);
  copy.copy_from(*this);
  return copy;
}

void Tensor::copy_from(const Tensor& other) {
  if (other.shape_ != shape_ || other.dtype_ != dtype_) {
    fail("copy", fmt::format("{} {} cannot hold {} {}", name_of(dtype_), shape_.str(),
                             name_of(other.dtype_), other.shape_.str()));
  }
  if (identity() == other.identity()) return;
  copy_bytes(memory(), place(), other.memory(), other.place(), static_cast<size_t>(bytes()));
}

Tensor Tensor::to(Device device) const {
  if (!defined() || &memory_of(device) == &memory()) {
    Tensor view = *this;
    view.device_ = device;
    return view;
  }
  Tensor copy(shape_, dtype_, device);
  copy.copy_from(*this);
  return copy;
}

std::vector<float> Tensor::values() const {
  const Tensor here = memory().host_can_access() ? *this : to(Device::kCpu);
  return std::vector<float>(here.f32(), here.f32() + elements());
}

}  // namespace ddpm
