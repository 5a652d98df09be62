// The text that says how a picture was made, in a PNG or alone.
#include "ddpm/data/image.h"
#include "ddpm/engine/recipe.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  const std::string_view input = fuzz::text_of(data, size);
  std::string text(input);
  fuzz::succeeds([&] {
    const auto found = png_text(input, "ddpm", kMostJsonBytes);
    if (found) text = *found;
  });
  fuzz::succeeds([&] {
    const JsonObject object = JsonObject::parse(text, "input");
    const Recipe recipe = read_recipe(object, "input");
    fuzz::require(recipe.options.total() > 0, "a recipe makes pictures");
    fuzz::require(same_recipe(object, JsonObject::parse(object.dump(-1), "again")),
                  "a recipe survives a round trip");
  });
  return 0;
}
