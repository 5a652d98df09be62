// Functions on bytes that need no image library, so that programs that only sample can make
// pictures too.
#include "ddpm/data/pixels.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/threads.h"

namespace ddpm {
namespace {

constexpr int64_t kLargestSide = 16384;

void check_picture(const char* where, const Tensor& image) {
  const bool good = image.defined() && image.dtype() == DType::kUInt8 &&
                    image.shape().rank() == 3 &&
                    (image.size(2) == 1 || image.size(2) == 3 || image.size(2) == 4);
  if (!good) {
    fail(where, fmt::format("needs bytes [H, W, 1, 3 or 4], not {} {}", name_of(image.dtype()),
                            image.shape().str()));
  }
}

// Rounds a * b / 255 for bytes.
uint8_t scaled(int a, int b) {
  const int product = a * b + 128;
  return static_cast<uint8_t>((product + (product >> 8)) >> 8);
}

// Rec. 709 weights in units of 1/65536. Their sum is one, so grey stays unchanged.
uint8_t luminance(int r, int g, int b) {
  return static_cast<uint8_t>((13933 * r + 46871 * g + 4732 * b + 32768) >> 16);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

ImageSize parse_image_size(std::string_view text) {
  const auto side = [&](std::string_view digits) -> int64_t {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool whole = error == std::errc() && end == digits.data() + digits.size();
    return whole && value >= 1 && value <= kLargestSide ? value : 0;
  };
  const size_t cross = text.find('x');
  const ImageSize size = cross == std::string_view::npos
                             ? ImageSize{side(text), side(text)}
                             : ImageSize{side(text.substr(0, cross)), side(text.substr(cross + 1))};
  if (size.height == 0 || size.width == 0) {
    fail_usage("size", fmt::format("'{}' is not an image size; give one side such as 32, or height "
                                   "x width such as 48x64, from 1 to {}",
                                   text, kLargestSide));
  }
  return size;
}

Colour parse_colour(std::string_view text) {
  if (text == "white") return {255, 255, 255};
  if (text == "black") return {0, 0, 0};
  if (text == "grey" || text == "gray") return {128, 128, 128};
  const bool long_form = text.size() == 7, short_form = text.size() == 4;
  if ((long_form || short_form) && text[0] == '#' &&
      std::all_of(text.begin() + 1, text.end(), [](char c) { return hex_digit(c) >= 0; })) {
    Colour colour;
    for (size_t i = 0; i < 3; ++i) {
      const int high = hex_digit(text[long_form ? 1 + 2 * i : 1 + i]);
      const int low = hex_digit(text[long_form ? 2 + 2 * i : 1 + i]);
      colour[i] = static_cast<uint8_t>(16 * high + low);
    }
    return colour;
  }
  fail_usage("background",
             fmt::format("'{}' is not a colour; give white, black, grey or #rrggbb", text));
}

int64_t channels_needed(const Tensor& image) {
  check_picture("channels", image);
  const int64_t channels = image.size(2), pixels = image.size(0) * image.size(1);
  if (channels == 1) return 1;
  const uint8_t* p = image.u8();
  bool grey = true;
  for (int64_t i = 0; i < pixels; ++i, p += channels) {
    if (channels == 4 && p[3] != 255) return 4;
    grey = grey && p[0] == p[1] && p[1] == p[2];
  }
  return grey ? 1 : 3;
}

Tensor convert_channels(const Tensor& image, int64_t channels, Colour background) {
  check_picture("channels", image);
  if (channels != 1 && channels != 3 && channels != 4)
    fail_usage("channels", fmt::format("cannot make {} channels; give 1, 3, 4 or auto", channels));
  const int64_t from = image.size(2);
  if (from == channels) return image;
  Tensor result({image.size(0), image.size(1), channels}, DType::kUInt8);
  const uint8_t* in = image.u8();
  uint8_t* out = result.u8();
  for (int64_t i = image.size(0) * image.size(1); i > 0; --i, in += from, out += channels) {
    Colour colour = from == 1 ? Colour{in[0], in[0], in[0]} : Colour{in[0], in[1], in[2]};
    if (from == 4 && in[3] != 255) {
      for (int c = 0; c < 3; ++c) {
        const int sum = scaled(colour[c], in[3]) + scaled(background[c], 255 - in[3]);
        colour[c] = static_cast<uint8_t>(std::min(sum, 255));
      }
    }
    if (channels == 1) {
      out[0] = luminance(colour[0], colour[1], colour[2]);
    } else {
      std::copy(colour.begin(), colour.end(), out);
      if (channels == 4) out[3] = 255;
    }
  }
  return result;
}

Tensor to_bytes(const Tensor& x) {
  Tensor result(x.shape(), DType::kUInt8);
  const float* in = x.f32();
  uint8_t* out = result.u8();
  parallel_for(x.elements(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float value = (in[i] + 1.0f) * 127.5f + 0.5f;
      // For NaN the first comparison is false.
      out[i] = static_cast<uint8_t>(value > 0.0f ? std::min(value, 255.0f) : 0.0f);
    }
  });
  return result;
}

Tensor to_floats(const Tensor& bytes) {
  Tensor result(bytes.shape());
  const uint8_t* in = bytes.u8();
  float* out = result.f32();
  parallel_for(bytes.elements(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = static_cast<float>(in[i]) / 127.5f - 1.0f;
  });
  return result;
}

namespace {

// The number of columns for `count` pictures. 0 columns means nearly square.
int64_t grid_columns(int64_t count, int64_t columns) {
  const auto near_square = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  return std::min(count, columns > 0 ? columns : near_square);
}

// cells * (side * scale + gap) + gap
int64_t grid_side(int64_t cells, int64_t side, const GridOptions& options) {
  int64_t result = 0;
  if (__builtin_mul_overflow(side, options.scale, &result) ||
      __builtin_add_overflow(result, options.gap, &result) ||
      __builtin_mul_overflow(result, cells, &result) ||
      __builtin_add_overflow(result, options.gap, &result)) {
    fail_usage("grid", fmt::format("{} pictures of {} pixels a side at scale {} are more than any "
                                   "picture holds; choose fewer or a smaller scale",
                                   cells, side, options.scale));
  }
  return result;
}

}  // namespace

ImageSize grid_size(int64_t count, ImageSize picture, const GridOptions& options) {
  if (count < 1 || options.columns < 0 || options.scale < 1 || options.gap < 0) {
    fail_usage("grid", fmt::format("cannot make a grid of {} pictures in {} columns at scale {} "
                                   "with gap {}",
                                   count, options.columns, options.scale, options.gap));
  }
  const int64_t columns = grid_columns(count, options.columns);
  return {grid_side(count / columns + (count % columns != 0), picture.height, options),
          grid_side(columns, picture.width, options)};
}

Grid::Grid(int64_t count, const Shape& picture, const GridOptions& options)
    : cell_(picture), options_(options), columns_(grid_columns(count, options.columns)) {
  const ImageSize size = grid_size(count, {picture[0], picture[1]}, options);
  grid_ = Tensor({size.height, size.width, picture[2]}, DType::kUInt8);
  std::memset(grid_.u8(), picture[2] == 4 ? 0 : options.background,
              static_cast<size_t>(grid_.bytes()));
}

void Grid::put(int64_t k, const Tensor& picture) {
  DDPM_CHECK(picture.shape() == cell_);
  const int64_t height = cell_[0], width = cell_[1], channels = cell_[2], scale = options_.scale;
  const int64_t stride = grid_.size(1) * channels;
  uint8_t* corner = grid_.u8() +
                    (k / columns_ * (height * scale + options_.gap) + options_.gap) * stride +
                    (k % columns_ * (width * scale + options_.gap) + options_.gap) * channels;
  for (int64_t y = 0; y < height * scale; ++y) {
    uint8_t* out = corner + y * stride;
    for (int64_t x = 0; x < width * scale; ++x, out += channels)
      std::copy_n(picture.u8() + (y / scale * width + x / scale) * channels, channels, out);
  }
}

Tensor make_grid(const Tensor& images, const GridOptions& options) {
  if (!images.defined() || images.shape().rank() != 4 || images.elements() == 0)
    fail("grid", fmt::format("needs pictures [N, H, W, C], not {}", images.shape().str()));
  const Shape picture{images.size(1), images.size(2), images.size(3)};
  Grid grid(images.size(0), picture, options);
  parallel_for(images.size(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) grid.put(n, images.rows(n, n + 1).reshape(picture));
  });
  return grid.picture();
}

int64_t comfortable_scale(ImageSize size) {
  return std::clamp<int64_t>(64 / std::max<int64_t>(1, std::max(size.height, size.width)), 1, 8);
}

void write_ppm(const std::string& path, const Tensor& image) {
  const Tensor colours = convert_channels(image, 3, {255, 255, 255});
  AtomicFile file(path);
  file.write(fmt::format("P6 {} {} 255\n", colours.size(1), colours.size(0)));
  file.write(colours.u8(), static_cast<size_t>(colours.bytes()));
  file.commit();
}

}  // namespace ddpm
