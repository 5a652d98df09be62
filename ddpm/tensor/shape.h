// The extents of a dense, contiguous tensor, outermost first. Activations are [N, H, W, C],
// convolution weights [kh, kw, C_in, C_out], linear weights [in, out].
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>

namespace ddpm {

class Shape {
 public:
  static constexpr int kMaxRank = 6;
  // The product of all extents except zeros is at most this. Then no product of some of them, times
  // the bytes of an element, overflows. This class is the only place that checks sizes for
  // overflow.
  static constexpr int64_t kMaxElements = std::numeric_limits<int64_t>::max() / 8;

  Shape() = default;
  // Throws Error for a negative extent, more than kMaxRank extents, or more than kMaxElements.
  Shape(std::initializer_list<int64_t> extents);
  Shape(const int64_t* extents, int rank);

  int rank() const { return rank_; }
  // A negative axis is counted from the end. Throws Error if it is out of range.
  int64_t operator[](int axis) const;
  // The product of the extents. 1 for rank 0.
  int64_t elements() const;
  const int64_t* begin() const { return extents_.data(); }
  const int64_t* end() const { return extents_.data() + rank_; }
  // "[2, 8, 8, 3]"
  std::string str() const;

  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

}  // namespace ddpm
