// What an earlier loading has found out about the pictures of a run. It is read, written and read
// again.
#include "ddpm/base/hash.h"
#include "ddpm/data/stream/picture_index.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  // The input is the lines. Without the right hash of them no line would be read.
  const std::string lines(fuzz::text_of(data, size));
  const std::string text =
      "{\"settings\":\"1 8x8\",\"hash\":\"" + hash_hex(lines) + "\"}\n" + lines;
  PictureIndex read;
  if (!fuzz::succeeds([&] { read = index_from_text(text, "input"); })) return 0;
  fuzz::require(index_from_text(to_text(read), "text") == read, "an index survives a round trip");
  const KnownPictures known(&read, read.settings);
  for (const IndexedPicture& picture : read.pictures)
    fuzz::require(known.find(picture.file) == &picture, "every picture is found by its file");
  return 0;
}
