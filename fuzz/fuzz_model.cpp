// A file that is loaded as a model: its configuration, or the one that its shapes show, and
// weights.
#include "ddpm/engine/model.h"
#include "ddpm/nn/network.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  static const fuzz::Folder folder;
  const std::string path = folder.write("model.safetensors", fuzz::text_of(data, size));
  fuzz::succeeds([&] {
    const Model model = load_model(path);
    fuzz::require(model.network->parameter_count() * 2 <= static_cast<int64_t>(size),
                  "every weight comes from the file");
  });
  fuzz::succeeds([&] {
    load_model(path, Device::kCpu,
               {{"groups", "1"}, {"heads", "1"}, {"schedule", "\"cosine\""}, {"timesteps", "10"}});
  });
  return 0;
}
