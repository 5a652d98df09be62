// Pictures that a training does not learn from, so that its loss can be measured on them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ddpm/data/pictures.h"

namespace ddpm {

// The file of each picture, from the fingerprint. Empty if files hold several pictures or if the
// pictures come from a program's arrays.
std::vector<SourceFile> file_of_each(const Pictures& pictures);

// A number for each picture that follows from the picture alone: from the hash of its file, or of
// its pixels if file_of_each() is empty. Evenly distributed over all 64 bits. For pixels, all
// pictures are read once. Throws what Pictures::batch() throws.
std::vector<uint64_t> picture_hashes(const Pictures& pictures);

// Some of the pictures, in the order of the indices, with their labels and conditions. All class
// names stay. Throws Error for an index out of range or without any.
std::shared_ptr<const Pictures> chosen_pictures(std::shared_ptr<const Pictures> pictures,
                                                std::vector<int64_t> indices);

struct HeldOut {
  // Both keep the order of the pictures.
  std::shared_ptr<const Pictures> training, held_out;
  // The indices of those to learn from.
  std::vector<int64_t> training_numbers;
  // picture_hashes() of those held out.
  std::vector<uint64_t> hashes;
};

// Holds out about this share of the pictures, 0 < share < 1. The hash alone decides about a
// picture: it is held out if its hash lies in the lowest `share` of all numbers. So a picture stays
// on its side when others are added or removed, and equal pictures are on the same side. Throws
// UsageError if no picture is held out, or all are.
HeldOut hold_out(std::shared_ptr<const Pictures> pictures, double share);

}  // namespace ddpm
