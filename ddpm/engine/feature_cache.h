// A folder that keeps the features of pictures between calls of `ddpm eval`. Anything in it may be
// deleted at any time.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// $XDG_CACHE_HOME/ddpm, or else ~/.cache/ddpm. Empty if neither variable is set.
std::string default_cache_folder();

class FeatureCache {
 public:
  using Warn = std::function<void(const std::string&)>;

  // folder: "" for no cache. It is created when something is stored. warn gets one line if a file
  // is damaged or cannot be read or written: the caller then goes on without it.
  explicit FeatureCache(std::string folder, Warn warn = {});

  const std::string& folder() const { return folder_; }

  // The tensor that was stored for this key, if it is there, sound and of this shape.
  std::optional<Tensor> find(const std::string& key, const Shape& shape) const;
  void store(const std::string& key, const Tensor& features) const;
  // The file of a key, with another ending: for what other functions load and save. Empty without a
  // cache.
  std::string file(const std::string& key, const std::string& kind) const;

 private:
  void warn(const std::string& text) const {
    if (warn_) warn_(text);
  }

  std::string folder_;
  Warn warn_;
};

}  // namespace ddpm
