// libvips, only for the files that read and write pictures with it. It is loaded when it is first
// needed, because it depends on a hundred libraries. A program that links them starts many times
// slower, even if it only prints its help.
#pragma once

#include <vips/vips.h>

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The functions of libvips and GLib that we use.
// clang-format off
#define DDPM_VIPS_FUNCTIONS(F) \
  F(g_free) F(g_log_set_handler) F(g_object_unref) F(vips_cache_set_max) \
  F(vips_cache_set_max_files) F(vips_cache_set_max_mem) F(vips_colourspace) \
  F(vips_concurrency_set) F(vips_copy) F(vips_error_buffer) F(vips_error_clear) \
  F(vips_image_get_bands) F(vips_image_get_blob) F(vips_image_get_coding) F(vips_image_get_format) \
  F(vips_image_get_height) F(vips_image_get_interpretation) F(vips_image_get_n_pages) \
  F(vips_image_get_orientation) F(vips_image_get_page_height) F(vips_image_get_typeof) \
  F(vips_image_get_width) F(vips_image_new_from_buffer) F(vips_image_new_from_memory) \
  F(vips_image_set_array_int) F(vips_image_set_int) F(vips_init) F(vips_pngsave_buffer) \
  F(vips_region_new) F(vips_region_prepare) F(vips_svgload_buffer) F(vips_webpsave_buffer)
// clang-format on

struct Vips {
#define DDPM_MEMBER(name) decltype(&::name) name;  // NOLINT(bugprone-macro-parentheses)
  DDPM_VIPS_FUNCTIONS(DDPM_MEMBER)
#undef DDPM_MEMBER
};

// Loads and initialises the library, once. Throws Error if it is not installed.
const Vips& vips();

// A counted reference to an image or a region.
template <class T>
class VipsRef {
 public:
  VipsRef() = default;
  explicit VipsRef(T* object) : object_(object) {}
  ~VipsRef() { reset(); }
  VipsRef(const VipsRef&) = delete;
  VipsRef& operator=(const VipsRef&) = delete;
  VipsRef(VipsRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  VipsRef& operator=(VipsRef&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  T* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // For the output arguments of libvips.
  T** out() {
    reset();
    return &object_;
  }

 private:
  void reset() {
    if (object_ != nullptr) vips().g_object_unref(object_);
    object_ = nullptr;
  }
  T* object_ = nullptr;
};
using VipsImageRef = VipsRef<VipsImage>;
using VipsRegionRef = VipsRef<VipsRegion>;

// libvips has one error text for the whole process. Work runs under the shared lock and therefore
// in parallel. If it fails, it runs again alone, so that the error text certainly belongs to it.
std::shared_mutex& vips_error_lock();

// Throws Error with libvips' text on one line and without repetitions, or with `otherwise` if
// there is no text. Throws SystemError if memory was missing, which is not a fault of the file.
[[noreturn]] void fail_vips(const char* where, const std::string& otherwise);

// Runs work(), which returns false if libvips failed. otherwise() gives the reason if libvips gives
// none.
template <class Otherwise, class Work>
void run_vips(const char* where, const Otherwise& otherwise, const Work& work) {
  vips();
  {
    std::shared_lock lock(vips_error_lock());
    if (work()) return;
  }
  std::unique_lock lock(vips_error_lock());
  vips().vips_error_clear();
  if (!work()) fail_vips(where, otherwise());
}

// A view of bytes [rows, width, channels]. The bytes must outlive it.
VipsImageRef vips_view(const char* where, const uint8_t* bytes, int64_t height, int64_t width,
                       int64_t channels, VipsInterpretation interpretation);

// Calls take(const void* row, int64_t y) for each row of the image from top to bottom. The whole
// decoded file is therefore never in memory. Returns false if libvips fails.
template <class Take>
bool for_each_row(const VipsImageRef& image, const Take& take) {
  constexpr int kRows = 16;
  const int height = vips().vips_image_get_height(image.get());
  const int width = vips().vips_image_get_width(image.get());
  const VipsRegionRef region(vips().vips_region_new(image.get()));
  if (!region) return false;
  for (int top = 0; top < height; top += kRows) {
    const VipsRect rows = {0, top, width, std::min(kRows, height - top)};
    if (vips().vips_region_prepare(region.get(), &rows) != 0) return false;
    // The region always has whole rows, so it begins at the left.
    const VipsRegion& held = *region.get();
    for (int y = top; y < top + rows.height; ++y)
      take(held.data + int64_t{y - held.valid.top} * held.bpl, y);
  }
  return true;
}

}  // namespace ddpm
