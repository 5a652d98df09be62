#include "ddpm/tensor/shape.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"

namespace ddpm {

Shape::Shape(std::initializer_list<int64_t> extents)
    : Shape(extents.begin(), static_cast<int>(extents.size())) {}

Shape::Shape(const int64_t* extents, int rank) : rank_(rank) {
  if (rank < 0 || rank > kMaxRank) {
    fail("shape", fmt::format("a tensor has at most {} axes, not {}", kMaxRank, rank));
  }
  for (int i = 0; i < rank; ++i) {
    if (extents[i] < 0)
      fail("shape", fmt::format("extent {} of axis {} is negative", extents[i], i));
    extents_[i] = extents[i];
  }
}

int64_t Shape::operator[](int axis) const {
  const int index = axis < 0 ? axis + rank_ : axis;
  if (index < 0 || index >= rank_) fail("shape", fmt::format("{} has no axis {}", str(), axis));
  return extents_[index];
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (int64_t extent : *this) product *= extent;
  return product;
}

std::string Shape::str() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) text += fmt::format("{}{}", i ? ", " : "", extents_[i]);
  return text + "]";
}

bool operator==(const Shape& a, const Shape& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace ddpm
