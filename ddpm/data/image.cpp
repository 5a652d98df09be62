// The only file that sees libvips. It decodes (a JPEG at the smallest of its scales that leaves the
// fitting something to do), turns by EXIF and brings colours to 8 bit; resize.cpp fits; the small
// result is then taken to sRGB by its profile, so that files without one keep their values to the
// bit. What a file is, is decided here by its first bytes: of libvips' many loaders only those of
// the formats we promise ever see a file.
//
// libvips is loaded when first needed: it stands on a hundred libraries, and a program that is
// linked to them starts many times slower, be it only to print its help.
#include "ddpm/data/image.h"

#include <dlfcn.h>
#include <fmt/core.h>
#include <vips/vips.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/resize.h"

namespace ddpm {
namespace {

// What is used of libvips, and of GLib below it.
// clang-format off
#define DDPM_VIPS_FUNCTIONS(F) \
  F(g_free) F(g_log_set_handler) F(g_object_unref) F(vips_autorot) F(vips_cache_set_max) \
  F(vips_cache_set_max_files) F(vips_cache_set_max_mem) F(vips_cast) F(vips_colourspace) \
  F(vips_concurrency_set) F(vips_copy) F(vips_error_buffer) F(vips_error_clear) \
  F(vips_icc_transform) F(vips_image_copy_memory) F(vips_image_get_bands) \
  F(vips_image_get_blob) F(vips_image_get_data) F(vips_image_get_height) \
  F(vips_image_get_interpretation) F(vips_image_get_n_pages) F(vips_image_get_page_height) \
  F(vips_image_get_typeof) F(vips_image_get_width) F(vips_image_new_from_buffer) \
  F(vips_image_new_from_memory) F(vips_image_set_array_int) F(vips_image_set_blob_copy) \
  F(vips_image_set_int) F(vips_init) F(vips_pngsave_buffer) F(vips_svgload_buffer) \
  F(vips_webpsave_buffer)
// clang-format on

struct Library {
#define DDPM_MEMBER(name) decltype(&::name) name;
  DDPM_VIPS_FUNCTIONS(DDPM_MEMBER)
#undef DDPM_MEMBER
};

Library load_library() {
  const std::string name = fmt::format("libvips.so.{}", VIPS_LIBRARY_CURRENT - VIPS_LIBRARY_AGE);
  void* handle = dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr)
    fail("image", fmt::format("{}; install Debian's package libvips42", dlerror()));
  Library library;
  // Looks in GLib too, on which libvips depends.
#define DDPM_LOAD(name)                                                     \
  library.name = reinterpret_cast<decltype(&::name)>(dlsym(handle, #name)); \
  if (library.name == nullptr) fail("image", "libvips lacks " #name);
  DDPM_VIPS_FUNCTIONS(DDPM_LOAD)
#undef DDPM_LOAD
  return library;
}

const Library& vips() {
  static const Library library = load_library();
  return library;
}

// A bound on what one file may ask for, as decoded.
constexpr int64_t kMostPixels = int64_t{1} << 27;

class Image {
 public:
  Image() = default;
  explicit Image(VipsImage* image) : image_(image) {}
  ~Image() { reset(); }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  Image(Image&& other) noexcept : image_(std::exchange(other.image_, nullptr)) {}
  Image& operator=(Image&& other) noexcept {
    std::swap(image_, other.image_);
    return *this;
  }
  VipsImage* get() const { return image_; }
  // For libvips' output arguments.
  VipsImage** out() {
    reset();
    return &image_;
  }

 private:
  void reset() {
    if (image_ != nullptr) vips().g_object_unref(image_);
    image_ = nullptr;
  }
  VipsImage* image_ = nullptr;
};

void silent(const char*, GLogLevelFlags, const char*, void*) {}

// Files are decoded in parallel, so libvips itself runs on one thread and keeps no cache.
void start_vips() {
  static std::once_flag once;
  static bool started = false;
  std::call_once(once, [] {
    constexpr auto kEverything =
        static_cast<GLogLevelFlags>(G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO |
                                    G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_CRITICAL);
    for (const char* domain : {"VIPS", "GLib", "GLib-GObject"})
      vips().g_log_set_handler(domain, kEverything, silent, nullptr);
    started = vips().vips_init("ddpm") == 0;
    vips().vips_concurrency_set(1);
    vips().vips_cache_set_max(0);
    vips().vips_cache_set_max_mem(0);
    vips().vips_cache_set_max_files(0);
  });
  if (!started) fail("image", "libvips does not start; is its installation complete?");
}

// libvips has one error text for the whole process. Work runs under the shared lock; what fails is
// run again alone, so that its text is surely its own.
std::shared_mutex& error_lock() {
  static std::shared_mutex lock;
  return lock;
}

// libvips' text on one line, without its repetitions.
std::string take_error() {
  const std::string text = vips().vips_error_buffer();
  vips().vips_error_clear();
  std::string cleaned, last;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    while (!line.empty() && static_cast<unsigned char>(line.back()) <= ' ') line.pop_back();
    if (const size_t place = line.find(" @ error/"); place != std::string::npos) line.resize(place);
    std::erase_if(line, [](char c) { return static_cast<unsigned char>(c) < ' '; });
    if (line.empty() || line == last) continue;
    if (!cleaned.empty()) cleaned += "; ";
    cleaned += last = line;
  }
  return cleaned.empty() ? "libvips gave no reason" : cleaned;
}

// Runs work() -> bool, where false says that libvips failed.
template <class Work>
void run_vips(const char* where, const Work& work) {
  start_vips();
  {
    std::shared_lock lock(error_lock());
    if (work()) return;
  }
  std::unique_lock lock(error_lock());
  vips().vips_error_clear();
  if (!work()) fail(where, take_error());
}

std::string known_format(std::string_view file) {
  if (file.empty()) fail("image", "the file is empty");
  const char* format = image_format(file);
  if (format == nullptr)
    fail("image", "this is no PNG, JPEG, WebP, GIF, TIFF, BMP, HEIC or AVIF file");
  return format;
}

struct Header {
  ImageInfo info;
  int bands = 0;
  bool cmyk = false;
};

bool read_header(std::string_view file, Header& header) {
  Image image(vips().vips_image_new_from_buffer(file.data(), file.size(), "", "access",
                                                VIPS_ACCESS_SEQUENTIAL, nullptr));
  if (image.get() == nullptr) return false;
  header.info.size = {vips().vips_image_get_page_height(image.get()),
                      vips().vips_image_get_width(image.get())};
  header.info.frames = vips().vips_image_get_n_pages(image.get());
  header.bands = vips().vips_image_get_bands(image.get());
  header.cmyk = vips().vips_image_get_interpretation(image.get()) == VIPS_INTERPRETATION_CMYK;
  return true;
}

Header read_header(std::string_view file) {
  Header header;
  const std::string format = known_format(file);
  run_vips("image", [&] { return read_header(file, header); });
  header.info.format = format;
  return header;
}

// JPEGs can be decoded at 1/2, 1/4 or 1/8; at least twice the wanted size is left to the better
// filter.
int64_t shrink_on_load(const ImageInfo& info, ImageSize wanted) {
  if (info.format != "JPEG") return 1;
  const int64_t stored = std::min(info.size.height, info.size.width);  // EXIF may swap the sides
  int64_t shrink = 8;
  while (shrink > 1 && stored < 2 * shrink * std::max(wanted.height, wanted.width)) shrink /= 2;
  return shrink;
}

void check_pixels(ImageSize size, int64_t shrink) {
  if (size.height / shrink <= kMostPixels / std::max<int64_t>(size.width / shrink, 1)) return;
  fail("image", fmt::format("{} x {} pixels are more than the {} million this program reads",
                            size.height, size.width, kMostPixels / 1000000));
}

// Whatever libvips holds -> [H, W, 1, 3 or 4] bytes; grey with alpha becomes RGBA.
bool to_tensor(const Image& image, Tensor& result) {
  Image srgb, cast, memory;
  const VipsInterpretation now = vips().vips_image_get_interpretation(image.get());
  const bool grey = vips().vips_image_get_bands(image.get()) == 1 &&
                    (now == VIPS_INTERPRETATION_B_W || now == VIPS_INTERPRETATION_GREY16);
  if (vips().vips_colourspace(image.get(), srgb.out(),
                              grey ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB,
                              nullptr) != 0)
    return false;
  if (vips().vips_cast(srgb.get(), cast.out(), VIPS_FORMAT_UCHAR, nullptr) != 0) return false;
  memory = Image(vips().vips_image_copy_memory(cast.get()));
  if (memory.get() == nullptr) return false;
  const int bands = vips().vips_image_get_bands(memory.get());
  const int channels = bands >= 4 ? 4 : bands >= 3 ? 3 : 1;
  result = Tensor({vips().vips_image_get_height(memory.get()),
                   vips().vips_image_get_width(memory.get()), channels},
                  DType::kUInt8);
  const auto* in = static_cast<const uint8_t*>(vips().vips_image_get_data(memory.get()));
  if (in == nullptr) return false;
  uint8_t* out = result.u8();
  for (int64_t i = result.size(0) * result.size(1); i > 0; --i, in += bands, out += channels)
    std::copy_n(in, channels, out);
  return true;
}

// Upright, in the file's own colours where these are grey or RGB; profile gets them to sRGB.
bool decode(std::string_view file, const std::string& options, bool cmyk, Tensor& result,
            std::string& profile) {
  Image opened(vips().vips_image_new_from_buffer(file.data(), file.size(), options.c_str(),
                                                 "access", VIPS_ACCESS_SEQUENTIAL, nullptr));
  if (opened.get() == nullptr) return false;
  // The pixels are computed here, where a damaged file shows.
  Image memory(vips().vips_image_copy_memory(opened.get()));
  Image upright;
  if (memory.get() == nullptr || vips().vips_autorot(memory.get(), upright.out(), nullptr) != 0)
    return false;
  const void* data = nullptr;
  size_t bytes = 0;
  profile.clear();
  if (!cmyk && vips().vips_image_get_typeof(upright.get(), VIPS_META_ICC_NAME) != 0 &&
      vips().vips_image_get_blob(upright.get(), VIPS_META_ICC_NAME, &data, &bytes) == 0)
    profile.assign(static_cast<const char*>(data), bytes);
  return to_tensor(upright, result);
}

// The tensor must outlive the image.
Image view_of(const char* where, const Tensor& image, int64_t height) {
  const int64_t channels = image.shape()[-1];
  if (image.elements() == 0 || (channels != 1 && channels != 3 && channels != 4))
    fail(where, fmt::format("needs 1, 3 or 4 channels, not {}", image.shape().str()));
  start_vips();
  Image bytes(vips().vips_image_new_from_memory(
      image.u8(), static_cast<size_t>(image.bytes()), static_cast<int>(image.shape()[-2]),
      static_cast<int>(height), static_cast<int>(channels), VIPS_FORMAT_UCHAR));
  Image typed;
  if (bytes.get() == nullptr ||
      vips().vips_copy(bytes.get(), typed.out(), "interpretation",
                       channels == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB,
                       nullptr) != 0)
    fail(where, "libvips cannot take this picture");
  return typed;
}

// A profile that does not fit its picture is ignored, as browsers do; so is what libvips says to
// it.
Tensor apply_profile(const Tensor& image, const std::string& profile) {
  Tensor result = image;
  std::shared_lock lock(error_lock());
  const Image view = view_of("image", image, image.size(0));
  vips().vips_image_set_blob_copy(view.get(), VIPS_META_ICC_NAME, profile.data(), profile.size());
  Image srgb;
  if (vips().vips_icc_transform(view.get(), srgb.out(), "srgb", "embedded", TRUE, "intent",
                                VIPS_INTENT_RELATIVE, "black_point_compensation", TRUE,
                                nullptr) == 0)
    to_tensor(srgb, result);
  return result;
}

std::string take_buffer(void* data, size_t bytes) {
  std::string result(static_cast<const char*>(data), bytes);
  (vips().g_free)(data);  // a macro too in newer GLib
  return result;
}

}  // namespace

ImageInfo probe_image(std::string_view file) { return read_header(file).info; }

Tensor decode_image(std::string_view file, ImageSize size) {
  const Header header = read_header(file);
  const bool jpeg = header.info.format == "JPEG";
  const int64_t shrink = shrink_on_load(header.info, size);
  check_pixels(header.info.size, shrink);
  Tensor image;
  std::string profile;
  const auto run = [&](const char* fail_on) {
    const std::string options =
        fmt::format("[fail_on={}{}]", fail_on, jpeg ? fmt::format(",shrink={}", shrink) : "");
    run_vips("image", [&] { return decode(file, options, header.cmyk, image, profile); });
  };
  // JPEG reports damage as warnings; stray bytes between segments are one too, and harmless.
  try {
    run(jpeg ? "warning" : "error");
  } catch (const Error& error) {
    if (!jpeg || std::string_view(error.what()).find("extraneous bytes") == std::string_view::npos)
      throw;
    run("error");
  }
  image = fit_image(image, size);
  if (!profile.empty()) image = apply_profile(image, profile);
  // A grey picture may have come back tinted by a rounding or two from its profile.
  const int64_t needed = channels_needed(image);
  const bool grey = header.bands <= 2 && !header.cmyk && needed == 3;
  return convert_channels(image, grey ? 1 : needed, Colour{255, 255, 255});
}

std::string encode_png(const Tensor& image) {
  if (image.shape().rank() != 3) fail("png", fmt::format("cannot encode {}", image.shape().str()));
  std::string result;
  run_vips("png", [&] {
    const Image view = view_of("png", image, image.size(0));
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
  if (std::max(height, frames.size(2)) > 16383)
    fail("webp", fmt::format("frames of {} x {} are larger than WebP's 16383 pixels a side", height,
                             frames.size(2)));
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
  run_vips("webp", [&] {
    // libvips' animations are one tall strip.
    const Image view = view_of("webp", frames, count * height);
    vips().vips_image_set_int(view.get(), VIPS_META_PAGE_HEIGHT, static_cast<int>(height));
    vips().vips_image_set_array_int(view.get(), "delay", delays.data(), static_cast<int>(count));
    vips().vips_image_set_int(view.get(), "loop", static_cast<int>(options.loop));
    void* data = nullptr;
    size_t bytes = 0;
    if (vips().vips_webpsave_buffer(view.get(), &data, &bytes, "lossless",
                                    options.lossless ? TRUE : FALSE, "Q",
                                    static_cast<int>(options.quality), "effort", 4, nullptr) != 0)
      return false;
    result = take_buffer(data, bytes);
    return true;
  });
  return result;
}

std::string render_svg(std::string_view svg, double scale) {
  Tensor picture;
  run_vips("svg", [&] {
    Image drawn;
    return vips().vips_svgload_buffer(const_cast<char*>(svg.data()), svg.size(), drawn.out(),
                                      "scale", scale, nullptr) == 0 &&
           to_tensor(drawn, picture);
  });
  return encode_png(convert_channels(picture, 3, Colour{255, 255, 255}));
}

void write_png(const std::string& path, const Tensor& image) {
  write_file_atomic(path, encode_png(image));
}

}  // namespace ddpm
