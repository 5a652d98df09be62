// Edits a valid checkpoint of a small network: changes, inserts or removes bytes, or cuts off the
// end. The input is the list of edits, so that it stays small. If its first byte is odd, the
// checkpoint has no checksum, as in old files. Only then do edits reach the checks after it.
#include <algorithm>

#include "ddpm/base/file.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/nn/tutorial/unet.h"
#include "ddpm/optim/adam.h"
#include "fuzz/support.h"

namespace {

using namespace ddpm;

const ModelConfig kConfig{
    .network =
        tutorial::UnetConfig{
            .dim = 2, .dim_mults = {1}, .channels = 1, .groups = 1, .heads = 1, .dim_head = 1},
    .height = 2,
    .width = 2,
    .process = {.timesteps = 4}};

struct State {
  State() : network(make_network(kConfig.network)) {
    network->initialize(1);
    std::vector<Variable> variables;
    for (const NamedParameter& named : network->parameters())
      variables.push_back(named.parameter->variable);
    adam = std::make_unique<Adam>(std::move(variables), AdamOptions{.ema_decay = 0.9});
  }
  std::unique_ptr<Network> network;
  std::unique_ptr<Adam> adam;
};

State& state() {
  static State value;
  return value;
}

std::string sound_checkpoint(const fuzz::Folder& folder) {
  const std::string path = folder.path() + "/sound.safetensors";
  save_checkpoint(path, kConfig, *state().network, *state().adam,
                  {.run = "a run", .data = "its pictures", .options = "{}"});
  return read_file(path);
}

// Replaces the keys by others of the same length, which the program does not read.
std::string without_checksum(std::string file) {
  for (const auto& [name, other] :
       {std::pair(kChecksumKey, "ddpm.chexksum"), std::pair(kVersionKey, "ddpm.versiom")}) {
    const size_t at = file.find(name);
    fuzz::require(at != std::string::npos, "a checkpoint has a checksum and a version");
    file.replace(at, std::string_view(other).size(), other);
  }
  return file;
}

class Reader {
 public:
  explicit Reader(std::string_view input) : input_(input) {}
  bool done() const { return input_.empty(); }
  size_t number(size_t bytes) {
    size_t value = 0;
    for (const char c : text(bytes)) value = value << 8 | static_cast<uint8_t>(c);
    return value;
  }
  std::string_view text(size_t bytes) {
    const std::string_view piece = input_.substr(0, bytes);
    input_.remove_prefix(piece.size());
    return piece;
  }

 private:
  std::string_view input_;
};

void edit(Reader& edits, std::string& file) {
  const size_t kind = edits.number(1) % 4, at = edits.number(2) % (file.size() + 1);
  const size_t length = 1 + edits.number(1) % 32;
  if (kind == 0) file.replace(at, std::min(length, file.size() - at), edits.text(length));
  if (kind == 1) file.insert(at, edits.text(length));
  if (kind == 2) file.erase(at, length);
  if (kind == 3) file.resize(at);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static const std::string sound = sound_checkpoint(folder), bare = without_checksum(sound);
  Reader edits(fuzz::text_of(data, size));
  const bool has_checksum = edits.number(1) % 2 == 0;
  const std::string& before = has_checksum ? sound : bare;
  std::string file = before;
  int64_t count = 0;
  for (; !edits.done(); ++count) edit(edits, file);
  const std::string path = folder.write("edited.safetensors", file);
  const bool loaded =
      fuzz::succeeds([&] { load_checkpoint(path, *state().network, *state().adam); });
  if (file == before) fuzz::require(loaded, "a sound checkpoint is loaded");
  if (file != before && has_checksum && count == 1) fuzz::require(!loaded, "an edit is noticed");
  return 0;
}
