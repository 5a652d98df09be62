// Unicode's emoji-test.txt. The font file is not a font, so no emoji is drawn.
#include "ddpm/data/source_kinds.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  static const fuzz::Folder folder;
  static const std::string font = folder.write("font.ttf", "none");
  const EmojiFiles files{.font = font,
                         .table = folder.write("emoji-test.txt", fuzz::text_of(data, size))};
  for (const char* group : {"", "smileys-emotion", "cat-face"})
    fuzz::succeeds([&] { list_emoji(group, std::make_shared<FileReader>(nullptr), files); });
  return 0;
}
