// Non-leaking augmentation (Karras et al. 2022, arXiv:2206.00364, appendix F.2): pictures are
// mirrored, scaled, turned, stretched and shifted at random, and the network is told what was done.
// Told in sampling that nothing was done, it draws pictures like those of the training.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The numbers that a network is told of an augmentation. All are 0 if nothing was done.
inline constexpr int64_t kAugmentChannels = 9;

// What is done to a picture, in the order of the members. Everything but the mirroring is about the
// centre.
struct Augmentation {
  // Left to right, and upside down.
  bool mirror_x = false;
  bool mirror_y = false;
  // Scaled by 2^(scale / 5).
  double scale = 0;
  // Turned anticlockwise, in radians.
  double turn = 0;
  // Stretched by 2^(stretch / 5) in a direction, and shrunk as much across it. The direction is
  // given in radians, anticlockwise from the rows.
  double stretch = 0;
  double direction = 0;
  // Shifted right and down, in eighths of the width and of the height.
  double shift_x = 0;
  double shift_y = 0;

  // Nothing but the mirroring.
  bool keeps_geometry() const {
    return scale == 0 && turn == 0 && stretch == 0 && shift_x == 0 && shift_y == 0;
  }
};

// mirror_x, mirror_y, scale, cos(turn) - 1, sin(turn), stretch times cosine and sine of its
// direction, shift_x, shift_y.
std::array<float, kAugmentChannels> told_of(const Augmentation& augmentation);

// The distribution of the paper: mirrored left to right in half of all cases, and each of the other
// five with the given probability: mirrored upside down in half of them, turned by any angle, and
// scale, stretch and shifts from standard normal numbers. The stretch has a random direction in
// half of its cases, and otherwise that of the rows. With probability 0 nothing is done. Depends
// only on the arguments.
Augmentation draw_augmentation(double probability, uint64_t seed);

// The augmented pictures [N, H, W, C] of pictures of this shape, which are floats in [-1, 1] in
// host memory. One resampling does all but the mirroring: the cubic of Catmull and Rom (Keys 1981)
// along columns and along rows, made wider along each by how far a pixel of the result reaches
// there, so that shrinking does not alias. Beyond its borders a picture goes on mirrored. The
// result is clamped to [-1, 1]. Colours of 4 channels are weighted by the alpha in the fourth.
// Pictures whose geometry is kept are copied exactly. Throws Error if there is not one augmentation
// per picture.
Tensor augmented(const Tensor& pictures, const std::vector<Augmentation>& augmentations);

// The batch with its pictures and conditions augmented alike, and with Batch::augment. The picture
// at position n has the augmentation draw_augmentation(probability, mix_seed(seed, first + n)). On
// a device without values only the shapes are made.
Batch augmented(const Batch& batch, double probability, uint64_t seed, uint64_t first);

}  // namespace ddpm
