// ddpm sample --input: the pictures that a model with a condition draws from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ddpm/data/condition.h"
#include "ddpm/data/input_pictures.h"
#include "ddpm/engine/model_config.h"

namespace ddpm::cli {

class Inputs {
 public:
  // path: a picture or a folder of pictures. size: of the outputs, 0 x 0 for what each input says:
  // its own size, or with the condition downscale:N that size times N. Reads the first picture.
  // Throws Error if one cannot be read and UsageError if the model has no condition, if
  // the size is none that the network takes, and for two inputs whose outputs would have one name.
  Inputs(const std::string& path, const ModelConfig& config, ImageSize size);

  int64_t count() const { return pictures_.size(); }
  // Of the outputs.
  ImageSize size() const { return size_; }
  const std::string& folder() const { return pictures_.folder(); }
  // Of viewable_condition() of the conditions.
  int64_t viewable_channels() const;
  // Names for `each` outputs of every input, output k being that of input k % count(): the names of
  // the inputs without their extensions, with "-0", "-1", ... if there are several.
  std::vector<std::string> output_names(int64_t each) const;
  // Throws UsageError if the file is one of the inputs.
  void refuse_to_overwrite(const std::string& file) const;

  // Bytes [count, H, W, condition channels]. Throws Error as the constructor does, UsageError for
  // an input whose size gives outputs of another size than the first.
  Tensor conditions() const;

 private:
  // The sides of outputs must be multiples of this: for the network and for the condition.
  int64_t side_step() const;
  // Throws UsageError if the size asked for is not of such sides.
  void check_asked() const;
  ImageSize size_for(int64_t i, const Tensor& picture) const;
  Tensor condition(const Tensor& picture) const;

  const ModelConfig& config_;
  ImageCondition condition_;
  ImageSize asked_, size_;
  InputPictures pictures_;
  std::vector<std::string> stems_;
};

}  // namespace ddpm::cli
