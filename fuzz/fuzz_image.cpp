// Picture files of every format. libvips and its decoders are not instrumented. This target finds
// faults in our own code, and crashes.
#include "ddpm/data/image.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  const std::string_view file = fuzz::text_of(data, size);
  fuzz::succeeds([&] { probe_image(file); });
  bool small = false, large = false;
  small = fuzz::succeeds([&] {
    const Tensor picture = decode_image(file, {4, 6});
    fuzz::require(picture.size(0) == 4 && picture.size(1) == 6, "a picture has the requested size");
  });
  large = fuzz::succeeds([&] { decode_image(file, {64, 64}); });
  fuzz::require(small == large, "a file is good or damaged at every size");
  return 0;
}
