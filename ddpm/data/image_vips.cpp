#include <dlfcn.h>
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>

#include "ddpm/data/image.h"
#include "ddpm/data/image_vips-inl.h"

namespace ddpm {
namespace {

Vips load_library() {
  const std::string name = fmt::format("libvips.so.{}", VIPS_LIBRARY_CURRENT - VIPS_LIBRARY_AGE);
  void* handle = dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr)
    fail("image", fmt::format("{}; install Debian's package libvips42", dlerror()));
  Vips library;
  // This also finds the functions of GLib, because libvips depends on GLib.
#define DDPM_LOAD(name)                                                     \
  library.name = reinterpret_cast<decltype(&::name)>(dlsym(handle, #name)); \
  if (library.name == nullptr) fail("image", "libvips lacks " #name);
  DDPM_VIPS_FUNCTIONS(DDPM_LOAD)
#undef DDPM_LOAD
  return library;
}

void silent(const char*, GLogLevelFlags, const char*, void*) {}

// Many files are decoded in parallel, so libvips uses one thread for each file and no cache.
Vips start() {
  const Vips library = load_library();
  constexpr auto kEverything =
      static_cast<GLogLevelFlags>(G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO |
                                  G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_CRITICAL);
  for (const char* domain : {"VIPS", "GLib", "GLib-GObject", "GModule"})
    library.g_log_set_handler(domain, kEverything, silent, nullptr);
  if (library.vips_init("ddpm") != 0)
    fail("image", "cannot initialise libvips; is its installation complete?");
  library.vips_concurrency_set(1);
  library.vips_cache_set_max(0);
  library.vips_cache_set_max_mem(0);
  library.vips_cache_set_max_files(0);
  return library;
}

}  // namespace

const Vips& vips() {
  static const Vips library = start();
  return library;
}

void require_decoders() { vips(); }

std::shared_mutex& vips_error_lock() {
  static std::shared_mutex lock;
  return lock;
}

void fail_vips(const char* where, const std::string& otherwise) {
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
  if (cleaned.find("out of memory") != cleaned.npos) fail_system(where, cleaned, ENOMEM);
  fail(where, cleaned.empty() ? otherwise : cleaned);
}

VipsImageRef vips_view(const char* where, const uint8_t* bytes, int64_t height, int64_t width,
                       int64_t channels, VipsInterpretation interpretation) {
  VipsImageRef view(vips().vips_image_new_from_memory(
      bytes, static_cast<size_t>(height * width * channels), static_cast<int>(width),
      static_cast<int>(height), static_cast<int>(channels), VIPS_FORMAT_UCHAR));
  VipsImageRef typed;
  if (!view ||
      vips().vips_copy(view.get(), typed.out(), "interpretation", interpretation, nullptr) != 0)
    fail(where, "libvips cannot use this picture");
  return typed;
}

}  // namespace ddpm
