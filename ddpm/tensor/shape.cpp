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
  std::copy(extents, extents + rank, extents_.begin());
  int64_t product = 1;
  for (int i = 0; i < rank; ++i) {
    const int64_t extent = std::max<int64_t>(extents[i], 1);
    if (extents[i] < 0)
      fail("shape", fmt::format("extent {} of axis {} is negative", extents[i], i));
    if (extent > kMaxElements / product) {
      fail("shape",
           fmt::format("{} is too large: a tensor has at most {} elements", str(), kMaxElements));
    }
    product *= extent;
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
