// Generated pictures that are copies: of each other, or of pictures that the model was trained on.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "ddpm/eval/neighbours.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The generated vectors and the real ones nearest to them. A vector is a near copy if its nearest
// real one is less than a third as far away as the next five are on average. Gu et al. 2023
// (arXiv:2310.02664) call a picture memorized if its nearest training picture is less than a third
// as far away as the second nearest, in the space of pixels. Here the space is that of the
// features, and the mean of five finds copies of training pictures that are there twice. A distance
// alone would call every plain picture a copy.
struct NearCopies {
  // The distance of the nearest real vector, relative to the mean distance of the next five. 1 if
  // all are 0.
  std::vector<double> ratios;
  // The nearest six.
  Neighbours neighbours;

  // Whether vector i is a near copy, and the share of those that are.
  bool is_copy(int64_t i) const;
  double share() const;
  // The `count` vectors with the smallest ratios, smallest first.
  std::vector<int64_t> closest(int64_t count) const;
};

// The fewest real vectors for which the rule says anything.
inline constexpr int64_t kFewestForCopies = 6;

// generated: float32 [M, D], real: float32 [N, D]. Throws Error unless N >= kFewestForCopies and
// the widths are equal.
NearCopies near_copies(const Tensor& generated, const Tensor& real);

// Finds pictures that are equal to an earlier one in every byte.
class DuplicateCounter {
 public:
  // pictures: bytes [N, H, W, C].
  void add(const Tensor& pictures);
  int64_t duplicates() const { return duplicates_; }

 private:
  std::set<std::string> hashes_;
  int64_t duplicates_ = 0;
};

}  // namespace ddpm
