// Resizing takes one pass over the input. Each row is filtered horizontally and then added, with
// weights, to the output rows that it contributes to. libvips could do this too, but starting it
// takes a hundred times as long as scaling a small picture, and most data sets have small pictures.
#include "ddpm/data/resize.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/data/catmull_rom.h"

namespace ddpm {
namespace {

double lanczos3(double x) {
  if (x == 0) return 1;
  if (std::abs(x) >= 3) return 0;
  const double a = std::numbers::pi * x;
  return 3 * std::sin(a) * std::sin(a / 3) / (a * a);
}

// An output is the weighted sum of the inputs first ... first + weights.size() - 1. The sum of the
// weights is 1.
struct Taps {
  int64_t first;
  std::vector<float> weights;
};

// The weights along one axis. `inputs` samples are scaled by `factor` around their centre, which is
// also the centre of the `outputs`. Beyond the border the outermost input is repeated.
std::vector<Taps> make_taps(int64_t inputs, int64_t outputs, double factor) {
  // The factor by which the kernel is wider when shrinking.
  const double stretch = std::max(1.0, 1 / factor);
  const double support = (factor < 1 ? 3 : 2) * stretch;
  double offset = (inputs - outputs / factor) / 2;
  // If the picture is only cut, every byte is kept.
  if (factor == 1) offset = std::floor(offset);
  std::vector<Taps> all;
  for (int64_t i = 0; i < outputs; ++i) {
    const double centre = offset + (i + 0.5) / factor - 0.5;
    const auto begin = static_cast<int64_t>(std::ceil(centre - support));
    const auto end = static_cast<int64_t>(std::floor(centre + support)) + 1;
    const auto clamped = [&](int64_t j) { return std::clamp<int64_t>(j, 0, inputs - 1); };
    Taps taps{clamped(begin), {}};
    std::vector<double> weights(static_cast<size_t>(clamped(end - 1) - taps.first + 1));
    double sum = 0;
    for (int64_t j = begin; j < end; ++j) {
      const double x = (static_cast<double>(j) - centre) / stretch;
      const double weight = factor < 1 ? lanczos3(x) : catmull_rom(x);
      weights[clamped(j) - taps.first] += weight;
      sum += weight;
    }
    for (const double weight : weights) taps.weights.push_back(static_cast<float>(weight / sum));
    all.push_back(std::move(taps));
  }
  return all;
}

// Filters one row of bytes horizontally. In the result, colours are multiplied by alpha.
template <int C>
void filter_row(const uint8_t* row, int64_t width, const std::vector<Taps>& taps,
                std::vector<float>& plain, float* out) {
  for (int64_t i = 0; i < width * C; ++i) plain[i] = row[i];
  if constexpr (C == 4) {
    for (int64_t x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) plain[4 * x + c] *= plain[4 * x + 3] * (1.0f / 255);
  }
  for (const Taps& tap : taps) {
    float sums[C] = {};
    const float* in = plain.data() + tap.first * C;
    for (const float weight : tap.weights) {
      for (int c = 0; c < C; ++c) sums[c] += weight * in[c];
      in += C;
    }
    for (int c = 0; c < C; ++c) *out++ = sums[c];
  }
}

uint8_t to_byte(float value) {
  return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
}

template <int C>
Tensor fit(const Tensor& image, ImageSize size) {
  const int64_t height = image.size(0), width = image.size(1);
  const double factor = std::max(static_cast<double>(size.height) / static_cast<double>(height),
                                 static_cast<double>(size.width) / static_cast<double>(width));
  const std::vector<Taps> across = make_taps(width, size.width, factor);
  const std::vector<Taps> down = make_taps(height, size.height, factor);
  const int64_t row_floats = size.width * C;
  std::vector<float> sums(static_cast<size_t>(size.height * row_floats)), plain(width * C),
      filtered(row_floats);
  // The output rows that an input row contributes to are consecutive, because both ends of their
  // input ranges grow from row to row.
  int64_t first = 0;
  for (int64_t y = down.front().first; y < height && first < size.height; ++y) {
    const auto end_of = [&](int64_t i) {
      return down[i].first + static_cast<int64_t>(down[i].weights.size());
    };
    while (first < size.height && end_of(first) <= y) ++first;
    if (first == size.height || down[first].first > y) continue;
    filter_row<C>(image.u8() + y * width * C, width, across, plain, filtered.data());
    for (int64_t i = first; i < size.height && down[i].first <= y; ++i) {
      const float weight = down[i].weights[y - down[i].first];
      float* sum = sums.data() + i * row_floats;
      for (int64_t x = 0; x < row_floats; ++x) sum[x] += weight * filtered[x];
    }
  }
  Tensor result({size.height, size.width, C}, DType::kUInt8);
  uint8_t* out = result.u8();
  for (size_t i = 0; i < sums.size(); i += C) {
    float scale = 1;
    if constexpr (C == 4) scale = sums[i + 3] > 0 ? 255 / sums[i + 3] : 0;
    for (int c = 0; c < C; ++c) out[i + c] = to_byte(c < 3 ? sums[i + c] * scale : sums[i + c]);
  }
  return result;
}

struct NamedFit {
  const char* name;
  Fit fit;
};
constexpr NamedFit kFits[] = {
    {"cover", Fit::kCover}, {"contain", Fit::kContain}, {"pad", Fit::kPad}};

ImageSize size_of(const Tensor& image) { return {image.size(0), image.size(1)}; }

// Scales a picture until it just covers the size, and cuts it to its centre.
Tensor cover(const Tensor& image, ImageSize size) {
  if (size == size_of(image)) return image;
  switch (image.size(2)) {
    case 1:
      return fit<1>(image, size);
    case 3:
      return fit<3>(image, size);
    case 4:
      return fit<4>(image, size);
  }
  fail("resize", fmt::format("needs 1, 3 or 4 channels, not {}", image.shape().str()));
}

}  // namespace

Fit parse_fit(std::string_view name) {
  for (const NamedFit& known : kFits)
    if (known.name == name) return known.fit;
  fail_usage("fit", fmt::format("'{}' is no way to fit pictures; give {}", name,
                                join_choices(fit_names())));
}

std::vector<std::string> fit_names() {
  std::vector<std::string> names;
  for (const NamedFit& known : kFits) names.emplace_back(known.name);
  return names;
}

Crop parse_crop(std::string_view name) {
  if (name == "centre") return Crop::kCentre;
  if (name == "random") return Crop::kRandom;
  fail_usage("crop", fmt::format("'{}' is no way to cut pictures; give {}", name,
                                 join_choices(crop_names())));
}

std::vector<std::string> crop_names() { return {"centre", "random"}; }

void check_crop(std::string_view fit, std::string_view crop) {
  if (parse_crop(crop) == Crop::kCentre || parse_fit(fit) == Fit::kCover) return;
  fail_usage("crop", fmt::format("with fit {} pictures are not cut, so crop random changes "
                                 "nothing; leave one of them out",
                                 fit));
}

ImageSize scaled_size(ImageSize picture, const Fitting& fitting) {
  const ImageSize size = fitting.size;
  if (size == ImageSize{}) return picture;
  const int64_t h = picture.height, w = picture.width;
  // Whether the picture is wider than the size, in proportion.
  const bool wide = w * size.height >= h * size.width;
  if (fitting.fit == Fit::kCover) {
    if (!fitting.uncut) return size;
    if (wide) return {size.height, std::min(w * size.height / h, kMostUncut * size.width)};
    return {std::min(h * size.width / w, kMostUncut * size.height), size.width};
  }
  if (fitting.fit == Fit::kPad && h <= size.height && w <= size.width) return picture;
  const auto scaled = [](int64_t side, int64_t to, int64_t from) {
    return std::clamp<int64_t>((2 * side * to + from) / (2 * from), 1, INT64_MAX);
  };
  return wide ? ImageSize{scaled(h, size.width, w), size.width}
              : ImageSize{size.height, scaled(w, size.height, h)};
}

Tensor pad_image(const Tensor& image, ImageSize size, Colour background) {
  if (size_of(image) == size) return image;
  const int64_t height = image.size(0), width = image.size(1);
  if (height > size.height || width > size.width) {
    fail("resize",
         fmt::format("{} is larger than {} x {}", image.shape().str(), size.height, size.width));
  }
  const bool grey = background[0] == background[1] && background[1] == background[2];
  const int64_t channels = std::max<int64_t>(image.size(2), grey ? 1 : 3);
  const Tensor picture = convert_channels(image, channels, background);
  Tensor padded({size.height, size.width, channels}, DType::kUInt8);
  uint8_t* out = padded.u8();
  for (int64_t i = 0; i < size.height * size.width; ++i) {
    for (int64_t c = 0; c < channels; ++c)
      *out++ = c < 3 ? background[static_cast<size_t>(c)] : uint8_t{0};
  }
  const int64_t top = (size.height - height) / 2, left = (size.width - width) / 2;
  for (int64_t y = 0; y < height; ++y) {
    std::memcpy(padded.u8() + ((top + y) * size.width + left) * channels,
                picture.u8() + y * width * channels, static_cast<size_t>(width * channels));
  }
  return padded;
}

Tensor fit_image(const Tensor& image, const Fitting& fitting) {
  if (fitting.size == ImageSize{}) return image;
  const bool picture = image.defined() && image.shape().rank() == 3 && image.elements() > 0;
  if (!picture || fitting.size.height < 1 || fitting.size.width < 1) {
    fail("resize", fmt::format("cannot fit {} to {} x {}", image.shape().str(), fitting.size.height,
                               fitting.size.width));
  }
  const Tensor scaled = cover(image, scaled_size(size_of(image), fitting));
  if (fitting.fit == Fit::kCover) return scaled;
  return pad_image(scaled, fitting.size, fitting.background);
}

void cut_image(const Tensor& image, ImageSize size, const uint64_t* place, uint8_t* out) {
  const int64_t channels = image.size(2), width = image.size(1);
  const int64_t down = image.size(0) - size.height, across = width - size.width;
  DDPM_CHECK(down >= 0 && across >= 0);
  int64_t top = down / 2, left = across / 2;
  if (place != nullptr) {
    const auto chosen = [](uint64_t bits32, int64_t most) {
      return static_cast<int64_t>((bits32 * static_cast<uint64_t>(most + 1)) >> 32);
    };
    top = chosen(*place >> 32, down);
    left = chosen(*place & 0xffffffff, across);
  }
  const int64_t row = size.width * channels;
  for (int64_t y = 0; y < size.height; ++y, out += row)
    std::memcpy(out, image.u8() + ((top + y) * width + left) * channels, static_cast<size_t>(row));
}

Tensor shrink_image(const Tensor& image, int64_t factor) {
  const Shape& shape = image.shape();
  if (shape.rank() != 3 || image.elements() == 0 || factor < 1 || shape[0] % factor != 0 ||
      shape[1] % factor != 0) {
    fail("resize", fmt::format("cannot shrink {} by {}", shape.str(), factor));
  }
  const int64_t channels = shape[2], colours = channels == 4 ? 3 : channels;
  Tensor result({shape[0] / factor, shape[1] / factor, channels}, DType::kUInt8);
  uint8_t* out = result.u8();
  std::vector<int64_t> sums(static_cast<size_t>(channels));
  for (int64_t y = 0; y < shape[0]; y += factor) {
    for (int64_t x = 0; x < shape[1]; x += factor) {
      std::fill(sums.begin(), sums.end(), 0);
      int64_t weight = channels == 4 ? 0 : factor * factor;
      for (int64_t dy = 0; dy < factor; ++dy) {
        const uint8_t* in = image.u8() + ((y + dy) * shape[1] + x) * channels;
        for (int64_t dx = 0; dx < factor; ++dx, in += channels) {
          const int64_t alpha = channels == 4 ? in[3] : 1;
          for (int64_t c = 0; c < colours; ++c) sums[c] += alpha * in[c];
          if (channels == 4) weight += alpha;
        }
      }
      for (int64_t c = 0; c < colours; ++c)
        *out++ = weight > 0 ? static_cast<uint8_t>((sums[c] + weight / 2) / weight) : 0;
      const int64_t area = factor * factor;
      if (channels == 4) *out++ = static_cast<uint8_t>((weight + area / 2) / area);
    }
  }
  return result;
}

}  // namespace ddpm
