// A whole safetensors file. Every entry is read, in every order of axes.
#include "ddpm/io/safetensors.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  static const fuzz::Folder folder;
  const std::string path = folder.write("x.safetensors", fuzz::text_of(data, size));
  fuzz::succeeds([&] {
    const SafetensorsFile file = SafetensorsFile::open(path);
    for (const SafetensorsEntry& entry : file.entries()) {
      fuzz::require(entry.begin >= 0 && entry.end <= static_cast<int64_t>(size),
                    "ranges lie in the file");
      for (const Layout layout :
           {Layout::kAsIs, Layout::kImage, Layout::kConvWeight, Layout::kLinearWeight}) {
        fuzz::succeeds([&] { file.read(entry.name, layout); });
      }
    }
  });
  return 0;
}
