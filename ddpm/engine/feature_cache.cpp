#include "ddpm/engine/feature_cache.h"

#include <fmt/core.h>

#include <cstdlib>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/hash.h"
#include "ddpm/io/safetensors.h"

namespace ddpm {
namespace {

constexpr char kName[] = "features";
constexpr char kKey[] = "ddpm.cache_key";

}  // namespace

std::string default_cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  // The specification of the variable ignores paths that are not absolute.
  if (const std::string caches = variable("XDG_CACHE_HOME"); caches.starts_with('/'))
    return caches + "/ddpm";
  if (const std::string home = variable("HOME"); home.starts_with('/'))
    return home + "/.cache/ddpm";
  return "";
}

FeatureCache::FeatureCache(std::string folder, Warn warn)
    : folder_(std::move(folder)), warn_(std::move(warn)) {}

std::string FeatureCache::file(const std::string& key, const std::string& kind) const {
  if (folder_.empty()) return "";
  return fmt::format("{}/{}-{}.safetensors", folder_, kind, hash_hex(key));
}

std::optional<Tensor> FeatureCache::find(const std::string& key, const Shape& shape) const {
  const std::string path = file(key, kName);
  try {
    if (path.empty() || !exists(path)) return std::nullopt;
    const SafetensorsFile cached = SafetensorsFile::open(path);
    const auto stored = cached.metadata().find(kKey);
    if (stored == cached.metadata().end() || stored->second != key) {
      fail("eval", fmt::format("{}: it is of other pictures", path));
    }
    Tensor features = cached.read(kName);
    if (features.shape() != shape) {
      fail("eval",
           fmt::format("{}: it holds {}, not {}", path, features.shape().str(), shape.str()));
    }
    return features;
  } catch (const Error& error) {
    warn(fmt::format("cannot use cached features, so they are computed again: {}",
                     without_place(error.what())));
    return std::nullopt;
  }
}

void FeatureCache::store(const std::string& key, const Tensor& features) const {
  const std::string path = file(key, kName);
  if (path.empty()) return;
  try {
    make_folder(folder_);
    remove_abandoned_files(folder_);
    SafetensorsWriter writer;
    writer.set_metadata(kKey, key);
    writer.add(kName, features);
    writer.write(path);
  } catch (const Error& error) {
    warn(
        fmt::format("cannot keep the features for the next time: {}", without_place(error.what())));
  }
}

}  // namespace ddpm
