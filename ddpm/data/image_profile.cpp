// Colour by Little CMS itself and not through libvips, which takes a profile for another kind of
// colours than its picture's, and falls back to sRGB without a word where a table is missing.
#include <lcms2.h>

#include <memory>

#include "ddpm/data/image_parts.h"

namespace ddpm {
namespace {

struct Close {
  void operator()(void* profile) const { cmsCloseProfile(profile); }
};
struct DeleteTransform {
  void operator()(void* transform) const { cmsDeleteTransform(transform); }
};
struct DeleteContext {
  void operator()(_cmsContext_struct* context) const { cmsDeleteContext(context); }
};
using Context = std::unique_ptr<_cmsContext_struct, DeleteContext>;
using Profile = std::unique_ptr<void, Close>;
using Transform = std::unique_ptr<void, DeleteTransform>;

void silent(cmsContext, cmsUInt32Number, const char*) {}

cmsColorSpaceSignature space_of(ColourKind kind) {
  switch (kind) {
    case ColourKind::kGrey:
      return cmsSigGrayData;
    case ColourKind::kRgb:
      return cmsSigRgbData;
    case ColourKind::kCmyk:
      return cmsSigCmykData;
  }
  return cmsSigRgbData;
}

cmsUInt32Number pixel_type_of(ColourKind kind) {
  switch (kind) {
    case ColourKind::kGrey:
      return PT_GRAY;
    case ColourKind::kRgb:
      return PT_RGB;
    case ColourKind::kCmyk:
      return PT_CMYK;
  }
  return PT_RGB;
}

// Device links and named colours say nothing about how a picture looks.
bool is_for_pictures(cmsProfileClassSignature kind) {
  return kind == cmsSigInputClass || kind == cmsSigDisplayClass || kind == cmsSigOutputClass ||
         kind == cmsSigColorSpaceClass;
}

// Relative colorimetric with black point compensation, as printers and browsers do. Little CMS
// takes the perceptual table where there is no relative one; for profiles with other tables alone
// their own intent is asked for.
Transform make_transform(cmsContext context, cmsHPROFILE from, cmsUInt32Number format,
                         cmsHPROFILE to, cmsUInt32Number out_format) {
  for (const int intent : {INTENT_RELATIVE_COLORIMETRIC, INTENT_PERCEPTUAL, INTENT_SATURATION,
                           INTENT_ABSOLUTE_COLORIMETRIC}) {
    Transform transform(cmsCreateTransformTHR(context, from, format, to, out_format,
                                              static_cast<cmsUInt32Number>(intent),
                                              cmsFLAGS_BLACKPOINTCOMPENSATION));
    if (transform) return transform;
  }
  return nullptr;
}

}  // namespace

int64_t colours_of(ColourKind kind) {
  return kind == ColourKind::kGrey ? 1 : kind == ColourKind::kRgb ? 3 : 4;
}

Tensor apply_profile(const Tensor& image, ColourKind kind, bool alpha, const std::string& profile) {
  const Context context(cmsCreateContext(nullptr, nullptr));
  if (!context) return {};
  cmsSetLogErrorHandlerTHR(context.get(), silent);
  const Profile from(cmsOpenProfileFromMemTHR(context.get(), profile.data(),
                                              static_cast<cmsUInt32Number>(profile.size())));
  if (!from || cmsGetColorSpace(from.get()) != space_of(kind) ||
      !is_for_pictures(cmsGetDeviceClass(from.get())))
    return {};
  const Profile srgb(cmsCreate_sRGBProfileTHR(context.get()));
  const int64_t channels = image.size(2), colours = colours_of(kind);
  const auto others = static_cast<cmsUInt32Number>(channels - colours);
  const cmsUInt32Number format = COLORSPACE_SH(pixel_type_of(kind)) |
                                 CHANNELS_SH(static_cast<cmsUInt32Number>(colours)) |
                                 EXTRA_SH(others) | BYTES_SH(1);
  const cmsUInt32Number out_format =
      COLORSPACE_SH(PT_RGB) | CHANNELS_SH(3) | EXTRA_SH(alpha ? 1u : 0u) | BYTES_SH(1);
  const Transform transform =
      make_transform(context.get(), from.get(), format, srgb.get(), out_format);
  if (!transform) return {};
  const int64_t height = image.size(0), width = image.size(1), out_channels = alpha ? 4 : 3;
  Tensor result({height, width, out_channels}, DType::kUInt8);
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* in = image.u8() + y * width * channels;
    uint8_t* out = result.u8() + y * width * out_channels;
    cmsDoTransform(transform.get(), in, out, static_cast<cmsUInt32Number>(width));
    for (int64_t x = 0; alpha && x < width; ++x) out[4 * x + 3] = in[(x + 1) * channels - 1];
  }
  return result;
}

}  // namespace ddpm
