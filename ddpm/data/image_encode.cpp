#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/memory.h"
#include "ddpm/data/image.h"
#include "ddpm/data/image_vips-inl.h"

namespace ddpm {
namespace {

// A view of [..., W, C] as one picture with `height` rows.
VipsImageRef view_of(const char* where, const Tensor& image, int64_t height) {
  const int64_t channels = image.shape()[-1];
  if (image.elements() == 0 || (channels != 1 && channels != 3 && channels != 4))
    fail(where, fmt::format("needs 1, 3 or 4 channels, not {}", image.shape().str()));
  return vips_view(where, image.u8(), height, image.shape()[-2], channels,
                   channels == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB);
}

std::string take_buffer(void* data, size_t bytes) {
  std::string result(static_cast<const char*>(data), bytes);
  // In parentheses because newer GLib also has a macro of this name.
  (vips().g_free)(data);
  return result;
}

}  // namespace

std::string encode_png(const Tensor& image) {
  if (image.shape().rank() != 3) fail("png", fmt::format("cannot encode {}", image.shape().str()));
  std::string result;
  run_vips(
      "png", [] { return "libvips cannot write this picture"; },
      [&] {
        const VipsImageRef view = view_of("png", image, image.size(0));
        void* data = nullptr;
        size_t bytes = 0;
        if (vips().vips_pngsave_buffer(view.get(), &data, &bytes, "compression", 6, nullptr) != 0)
          return false;
        result = take_buffer(data, bytes);
        return true;
      });
  return result;
}

std::string encode_webp(const Tensor& frames, const AnimationOptions& options) {
  if (frames.shape().rank() != 4)
    fail("webp", fmt::format("needs frames [N, H, W, C], not {}", frames.shape().str()));
  const int64_t count = frames.size(0), height = frames.size(1);
  if (std::max(height, frames.size(2)) > kMostWebpSide)
    fail("webp", fmt::format("frames of {} x {} are larger than WebP's {} pixels a side", height,
                             frames.size(2), kMostWebpSide));
  if (options.durations_ms.size() != 1 &&
      static_cast<int64_t>(options.durations_ms.size()) != count) {
    fail("webp", fmt::format("{} durations for {} frames; give one for each or one for all",
                             options.durations_ms.size(), count));
  }
  std::vector<int> delays;
  for (int64_t n = 0; n < count; ++n)
    delays.push_back(
        static_cast<int>(options.durations_ms[options.durations_ms.size() > 1 ? n : 0]));
  std::string result;
  run_vips(
      "webp", [] { return "libvips cannot write this animation"; },
      [&] {
        // For libvips an animation is one tall picture.
        const VipsImageRef view = view_of("webp", frames, count * height);
        vips().vips_image_set_int(view.get(), VIPS_META_PAGE_HEIGHT, static_cast<int>(height));
        vips().vips_image_set_array_int(view.get(), "delay", delays.data(),
                                        static_cast<int>(count));
        vips().vips_image_set_int(view.get(), "loop", static_cast<int>(options.loop));
        void* data = nullptr;
        size_t bytes = 0;
        if (vips().vips_webpsave_buffer(
                view.get(), &data, &bytes, "lossless", options.lossless ? TRUE : FALSE, "Q",
                static_cast<int>(options.quality), "effort", 4, nullptr) != 0)
          return false;
        result = take_buffer(data, bytes);
        return true;
      });
  return result;
}

std::string render_svg(std::string_view svg, double scale) {
  // The libraries behind it start threads, and end the process if that fails.
  constexpr int64_t kLeast = 160 << 20;
  const AvailableMemory available = available_memory();
  if (available.limit == kAddressSpaceLimit && available.bytes < kLeast) {
    fail("image", fmt::format("{} leaves {}, and drawing takes {}", available.limit,
                              memory_text(static_cast<double>(available.bytes)),
                              memory_text(static_cast<double>(kLeast))));
  }
  Tensor picture;
  run_vips(
      "svg", [] { return "libvips cannot draw this document"; },
      [&] {
        VipsImageRef drawn;
        if (vips().vips_svgload_buffer(const_cast<char*>(svg.data()), svg.size(), drawn.out(),
                                       "scale", scale, nullptr) != 0)
          return false;
        // Every drawing has four channels.
        constexpr int64_t kChannels = 4;
        if (vips().vips_image_get_bands(drawn.get()) != kChannels) return false;
        const int64_t width = vips().vips_image_get_width(drawn.get());
        picture =
            Tensor({vips().vips_image_get_height(drawn.get()), width, kChannels}, DType::kUInt8);
        return for_each_row(drawn, [&](const void* row, int64_t y) {
          std::copy_n(static_cast<const uint8_t*>(row), width * kChannels,
                      picture.u8() + y * width * kChannels);
        });
      });
  return encode_png(convert_channels(picture, 3, Colour{255, 255, 255}));
}

void write_png(const std::string& path, const Tensor& image) {
  write_file_atomic(path, encode_png(image));
}

}  // namespace ddpm
