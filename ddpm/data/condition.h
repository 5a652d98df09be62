// Images as conditions: what a network is shown of a picture besides its noisy form, so that it
// learns to draw the rest. Super-resolution (Saharia et al. 2021, arXiv:2104.07636), colourisation
// (Saharia et al. 2022, arXiv:2111.05826), or any pairs of pictures.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ddpm/data/pictures.h"

namespace ddpm {

struct ImageCondition {
  enum class Kind {
    kNone,
    // The picture shrunk `factor` times, each pixel the mean of factor x factor, and enlarged
    // again.
    kDownscale,
    // Its luminance (Rec. 709), and its alpha if it has one.
    kGrey,
    // Another picture for each.
    kPairs,
  };
  Kind kind = Kind::kNone;
  int64_t factor = 0;
  // Of the other pictures; empty if they are not in a folder or it is not known.
  std::string folder;

  // Whether it follows from the picture alone.
  bool computed() const { return kind == Kind::kDownscale || kind == Kind::kGrey; }
  // "none", "downscale:4", "grey" or "pairs", as model files have it.
  std::string name() const;
};

// "none", "downscale:N" with N >= 2, "grey", or else a folder, which is also reached as
// "folder:DIR". Throws UsageError for "downscale" without such a number and for an empty text.
ImageCondition parse_condition(std::string_view text);
// The inverse of ImageCondition::name(). Throws UsageError for anything else.
ImageCondition condition_of_model(std::string_view name);

// Throws UsageError if pictures of this size and so many channels (0: not known) have no such
// condition, saying what would work.
void check_condition(const ImageCondition& condition, ImageSize size, int64_t channels);

// Of a computed condition of pictures with so many channels.
int64_t channels_of(const ImageCondition& condition, int64_t picture_channels);

// The computed condition of a picture, bytes [H, W, C] -> bytes [H, W, channels_of()]. It follows
// from the picture's bytes, so that a file that holds the condition is as good as the picture.
// Throws UsageError as check_condition() does.
Tensor condition_image(const ImageCondition& condition, const Tensor& picture);

// The same for a picture that was shrunk already: [h, w, C] -> [N h, N w, C].
Tensor enlarged_condition(const ImageCondition& condition, const Tensor& small);

// The pictures with a computed condition in each batch. A mirrored picture has its own, mirrored.
// The fingerprint stays that of the pictures. Throws UsageError as check_condition() does, and
// if they have conditions already.
std::shared_ptr<const Pictures> with_condition(std::shared_ptr<const Pictures> pictures,
                                               const ImageCondition& condition);

// Conditions [N, H, W, C], bytes, as pictures of 1, 3 or 4 channels to look at: 2 channels are grey
// with alpha; of more than 4 the first is shown.
Tensor viewable_condition(const Tensor& conditions);

// For a grid: each of I conditions, then the pictures that belong to it. conditions [I, H, W, A],
// pictures [n I, H, W, B], bytes; picture k belongs to condition k % I. [I (n + 1), H, W, 1, 3 or
// 4].
Tensor beside_conditions(const Tensor& conditions, const Tensor& pictures);
// Columns of a nearly square grid of groups of so many pictures, for GridOptions.
int64_t columns_of_groups(int64_t groups, int64_t pictures_of_each);

}  // namespace ddpm
