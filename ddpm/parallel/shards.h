// Which rank updates which parameter (ZeRO, stage 1: Rajbhandari et al. 2019, arXiv:1910.02054),
// and which pictures of a batch a rank computes the gradients of.
#pragma once

#include <cstdint>
#include <vector>

namespace ddpm {

// The rank that updates each parameter, given the numbers of their elements. All ranks get about as
// many elements. Parameters that follow each other go to different ranks, so that all ranks are
// busy all the time while gradients are exchanged from the last parameter to the first.
std::vector<int> owners_of(const std::vector<int64_t>& elements, int ranks);

// Numbers begin, begin + 1, ..., end - 1.
struct Range {
  int64_t begin = 0, end = 0;
  int64_t count() const { return end - begin; }
};

// The part of a rank of `count` things: consecutive ones, about as many for each rank.
Range part_of_rank(int64_t count, int rank, int ranks);

}  // namespace ddpm
