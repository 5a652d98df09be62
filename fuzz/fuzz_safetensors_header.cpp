// The JSON header of a safetensors file. The first bytes give the number of bytes of data.
#include <cstring>

#include "ddpm/io/safetensors_header.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  uint32_t data_bytes = 0;
  if (size < sizeof data_bytes) return 0;
  std::memcpy(&data_bytes, data, sizeof data_bytes);
  fuzz::succeeds([&] {
    const SafetensorsHeader header = parse_safetensors_header(
        fuzz::text_of(data + sizeof data_bytes, size - sizeof data_bytes), data_bytes, "x");
    int64_t sum = 0;
    for (const SafetensorsEntry& entry : header.entries) sum += entry.end - entry.begin;
    fuzz::require(sum == data_bytes, "tensors cover the data exactly once");
  });
  return 0;
}
