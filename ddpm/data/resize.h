// Scales pictures in memory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ddpm/data/pixels.h"

namespace ddpm {

// How a picture of other proportions gets the wanted size.
enum class Fit {
  // It is scaled until it just covers the size, and cut.
  kCover,
  // It is scaled until it just fits into the size, and gets borders.
  kContain,
  // The same, but it is never enlarged.
  kPad,
};

// "cover", "contain" or "pad". Throws UsageError naming the choices.
Fit parse_fit(std::string_view name);
std::vector<std::string> fit_names();

// Which part of a picture that covers the size is used.
enum class Crop { kCentre, kRandom };
// "centre" or "random". Throws UsageError naming the choices.
Crop parse_crop(std::string_view name);
std::vector<std::string> crop_names();
// Throws UsageError if nothing can be cut at random, because pictures are not cut.
void check_crop(std::string_view fit, std::string_view crop);

struct Fitting {
  Fitting() = default;
  // Not explicit: most pictures are fitted so.
  Fitting(ImageSize wanted) : size(wanted) {}
  Fitting(int64_t height, int64_t width) : size{height, width} {}

  // 0 x 0: a picture keeps its own size.
  ImageSize size;
  Fit fit = Fit::kCover;
  // With kCover: do not cut the scaled picture, so that a place can be chosen later. Only a side
  // that would be more than kMostUncut times as long as wanted is cut to that.
  bool uncut = false;
  // Of the borders. Pictures with transparent pixels get transparent ones.
  Colour background = {255, 255, 255};
};
inline constexpr int64_t kMostUncut = 8;

// The size to which a picture is scaled, and cut if it is larger, before it gets borders.
ImageSize scaled_size(ImageSize picture, const Fitting& fitting);

// The picture [H, W, C] in the middle of the size: [size.height, size.width, 1, 3 or 4]. A grey
// picture gets colours if the background has some. Throws Error if the picture is larger.
Tensor pad_image(const Tensor& image, ImageSize size, Colour background);

// scaled_size() and pad_image() of a picture [H, W, C]: [size.height, size.width, 1, 3 or 4], or
// with `uncut` sides of at least these. It is scaled by the same factor in both directions. What
// has to be cut is cut at both ends. The filter is Lanczos (3 lobes) when shrinking and Catmull-Rom
// when enlarging, with premultiplied alpha. A picture that already has the size is returned
// unchanged.
Tensor fit_image(const Tensor& image, const Fitting& fitting);

// The part of a picture [h, w, C] of this size, as bytes into `out`. place: random bits that choose
// it. Without them it is the middle.
void cut_image(const Tensor& image, ImageSize size, const uint64_t* place, uint8_t* out);

// A picture [H, W, C] of 1/factor the sides, each pixel the mean of factor x factor (colours
// weighted by alpha), rounded to the nearest byte: [H / factor, W / factor, C]. Throws Error if
// the factor does not divide both sides.
Tensor shrink_image(const Tensor& image, int64_t factor);

}  // namespace ddpm
