// The input of users: values of options and the words of a command line.
#include "apps/cli/flags.h"
#include "apps/cli/suggestions.h"
#include "ddpm/base/text.h"
#include "ddpm/base/utf8.h"
#include "ddpm/data/pixels.h"
#include "ddpm/engine/train_options.h"
#include "fuzz/support.h"

namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
    end = std::min(text.find('\0', begin), text.find('\n', begin));
    end = std::min(end, text.size());
    words.emplace_back(text.substr(begin, end - begin));
  }
  return words;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::succeeds([&] {
    const ImageSize sides = parse_image_size(text);
    fuzz::require(
        sides.height >= 1 && sides.width >= 1 && sides.height <= 16384 && sides.width <= 16384,
        "sides lie in their range");
  });
  fuzz::succeeds([&] { parse_colour(text); });
  const std::string shown = printable(text);
  fuzz::require(find_invalid_utf8(shown) == std::string::npos, "shown text is UTF-8");
  fuzz::require(printable(shown) == shown, "shown text needs no escapes");
  cli::nearest(text.substr(0, 100), {"steps", "size", "sample-every"});

  const std::vector<std::string> words = words_of(text);
  for (const std::string& word : words)
    // This would print the help.
    if (word.starts_with("-h") || word.starts_with("--h")) return 0;
  fuzz::succeeds([&] {
    TrainOptions options;
    std::string run;
    cli::Flags flags("train", "trains", "");
    flags.add("out", run, "the run");
    flags.add_fields(options);
    if (flags.parse(words)) options.check();
  });
  return 0;
}
