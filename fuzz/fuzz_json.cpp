// JSON objects, read as objects, as the options of a training run and as the configuration of a
// model. They are written and read again, and must then be equal.
#include "ddpm/base/options.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/train_options.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  const std::string_view text = fuzz::text_of(data, size);
  JsonObject object;
  if (!fuzz::succeeds([&] { object = JsonObject::parse(text, "input"); })) return 0;
  const std::string once = object.dump();
  fuzz::require(JsonObject::parse(once, "dump").dump() == once, "an object survives a round trip");

  TrainOptions options;
  if (fuzz::succeeds([&] { read_options(object, options); })) {
    JsonObject written, again;
    write_options(options, written);
    TrainOptions copy;
    read_options(JsonObject::parse(written.dump(), "options"), copy);
    write_options(copy, again);
    fuzz::require(written.dump() == again.dump(), "options survive a round trip");
    fuzz::succeeds([&] {
      options.check();
      options.model_config(8, 8, 3).network.check_image(8, 8);
    });
  }
  ModelConfig config;
  if (fuzz::succeeds([&] { config = model_config_from_json(text, "input"); })) {
    const std::string json = to_json(config);
    fuzz::require(to_json(model_config_from_json(json, "config")) == json,
                  "a configuration survives a round trip");
  }
  return 0;
}
