#include "tests/support/fixture.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "ddpm/base/error.h"
#include "ddpm/io/layout.h"
#include "ddpm/io/safetensors.h"

namespace ddpm::test {
namespace {

const std::string kFolder = DDPM_SOURCE_DIR "/tests/fixtures";

// Parameters, before and after training, and their gradients have the layout of a state dict. Every
// other tensor with four axes is an image.
Layout layout_of(const std::string& key, int rank) {
  for (std::string_view prefix : {"param.", "grad.", "final."}) {
    if (key.starts_with(prefix)) return state_dict_layout(key, rank);
  }
  return rank == 4 ? Layout::kImage : Layout::kAsIs;
}

}  // namespace

std::string fixture_path(const std::string& name) { return kFolder + "/" + name + ".safetensors"; }

std::vector<std::string> fixture_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".safetensors") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Fixture::Fixture(const std::string& name) : name_(name) {
  const SafetensorsFile file = SafetensorsFile::open(fixture_path(name));
  const auto config = file.metadata().find("config");
  if (config == file.metadata().end()) fail("fixture", name + " has no config");
  config_ = config->second;
  for (const SafetensorsEntry& entry : file.entries()) {
    tensors_[entry.name] = file.read(entry.name, layout_of(entry.name, entry.shape.rank()));
  }
}

const Tensor& Fixture::at(const std::string& key) const {
  const auto found = tensors_.find(key);
  if (found == tensors_.end()) fail("fixture", fmt::format("{} has no tensor {}", name_, key));
  return found->second;
}

Fixture::Tensors Fixture::group(const std::string& prefix) const {
  Tensors tensors;
  for (const auto& [key, tensor] : tensors_) {
    if (key.starts_with(prefix)) tensors[key.substr(prefix.size())] = tensor;
  }
  return tensors;
}

}  // namespace ddpm::test
