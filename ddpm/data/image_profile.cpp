// This file uses Little CMS directly. libvips would also apply profiles that were made for another
// kind of colours than the picture's. And if a table is missing, it would silently use sRGB.
#include <lcms2.h>

#include <memory>

#include "ddpm/base/error.h"
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

// What Little CMS calls a kind of colours, in a profile and in the format of pixels.
struct ColourSpace {
  cmsColorSpaceSignature signature;
  cmsUInt32Number pixel_type;
};
ColourSpace space_of(ColourKind kind) {
  switch (kind) {
    case ColourKind::kGrey:
      return {cmsSigGrayData, PT_GRAY};
    case ColourKind::kRgb:
      break;
    case ColourKind::kCmyk:
      return {cmsSigCmykData, PT_CMYK};
    case ColourKind::kLab:
      return {cmsSigLabData, PT_Lab};
  }
  return {cmsSigRgbData, PT_RGB};
}

// Profiles of device links and of named colours do not describe how a picture looks.
bool is_for_pictures(cmsProfileClassSignature kind) {
  return kind == cmsSigInputClass || kind == cmsSigDisplayClass || kind == cmsSigOutputClass ||
         kind == cmsSigColorSpaceClass;
}

// Relative colorimetric with black point compensation, as in printers and browsers. If the profile
// has no such table, Little CMS uses the perceptual one. For a profile with only other tables, the
// loop tries their intents.
Transform make_transform(cmsContext context, cmsHPROFILE from, cmsUInt32Number format,
                         cmsHPROFILE to, cmsUInt32Number out_format, cmsUInt32Number flags) {
  for (const int intent : {INTENT_RELATIVE_COLORIMETRIC, INTENT_PERCEPTUAL, INTENT_SATURATION,
                           INTENT_ABSOLUTE_COLORIMETRIC}) {
    Transform transform(cmsCreateTransformTHR(context, from, format, to, out_format,
                                              static_cast<cmsUInt32Number>(intent),
                                              flags | cmsFLAGS_BLACKPOINTCOMPENSATION));
    if (transform) return transform;
  }
  return nullptr;
}

Context make_context() {
  Context context(cmsCreateContext(nullptr, nullptr));
  if (context) cmsSetLogErrorHandlerTHR(context.get(), silent);
  return context;
}

// Undefined if the profile cannot be applied.
Tensor to_srgb(cmsContext context, cmsHPROFILE from, const Tensor& image, ColourKind kind,
               bool alpha) {
  const Profile srgb(cmsCreate_sRGBProfileTHR(context));
  const int64_t channels = image.size(2), colours = colours_of(kind);
  const auto others = static_cast<cmsUInt32Number>(channels - colours);
  const cmsUInt32Number format = COLORSPACE_SH(space_of(kind).pixel_type) |
                                 CHANNELS_SH(static_cast<cmsUInt32Number>(colours)) |
                                 EXTRA_SH(others) | BYTES_SH(1);
  const cmsUInt32Number out_format =
      COLORSPACE_SH(PT_RGB) | CHANNELS_SH(3) | EXTRA_SH(alpha ? 1u : 0u) | BYTES_SH(1);
  // The tables that make a transform faster would give the greys of Lab a tint.
  const cmsUInt32Number flags = kind == ColourKind::kLab ? cmsFLAGS_NOOPTIMIZE : 0;
  const Transform transform = make_transform(context, from, format, srgb.get(), out_format, flags);
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

}  // namespace

int64_t colours_of(ColourKind kind) {
  return kind == ColourKind::kGrey ? 1 : kind == ColourKind::kCmyk ? 4 : 3;
}

Tensor apply_profile(const Tensor& image, ColourKind kind, bool alpha, const std::string& profile) {
  const Context context = make_context();
  if (!context) return {};
  const Profile from(cmsOpenProfileFromMemTHR(context.get(), profile.data(),
                                              static_cast<cmsUInt32Number>(profile.size())));
  if (!from || cmsGetColorSpace(from.get()) != space_of(kind).signature ||
      !is_for_pictures(cmsGetDeviceClass(from.get())))
    return {};
  return to_srgb(context.get(), from.get(), image, kind, alpha);
}

Tensor lab_to_rgb(const Tensor& image, bool alpha) {
  const Context context = make_context();
  const Profile lab(context ? cmsCreateLab4ProfileTHR(context.get(), nullptr) : nullptr);
  Tensor result;
  if (lab) result = to_srgb(context.get(), lab.get(), image, ColourKind::kLab, alpha);
  if (!result.defined()) fail("image", "Little CMS cannot convert CIE Lab");
  return result;
}

}  // namespace ddpm
