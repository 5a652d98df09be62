// The pictures that an evaluation judges, in parts, so that memory does not grow with their number.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

class JudgedPictures {
 public:
  virtual ~JudgedPictures() = default;
  virtual int64_t count() const = 0;
  // The class of each picture by its name, "" for none. Empty if there are no classes.
  virtual std::vector<std::string> classes() const { return {}; }
  // Pictures begin ... begin + count - 1 as bytes [count, H, W, C]. The same in every call.
  // progress(done, total) is called while they are made, if it is not empty.
  using Progress = std::function<void(double done)>;
  virtual Tensor read(int64_t begin, int64_t count, const Progress& progress) = 0;
};

// The first `count` of given pictures, in a random order.
std::unique_ptr<JudgedPictures> judged_pictures(std::shared_ptr<const Pictures> pictures,
                                                int64_t count);

// options.count pictures that a model draws. Their classes are as frequent as in the training, if
// the model tells, and else evenly frequent; options.labels must be empty. If the model draws from
// conditions, those are of `data`, pictures with conditions, in a random order, and the classes are
// those of the same pictures. Throws UsageError as generate() does, and if the model needs
// conditions that `data` does not have.
std::unique_ptr<JudgedPictures> drawn_pictures(const Network& network, const ModelConfig& config,
                                               const GenerateOptions& options,
                                               std::shared_ptr<const Pictures> data);

// `count` objects divided in proportion to the shares, by largest remainders. Evenly if all shares
// are 0.
std::vector<int64_t> apportion(int64_t count, const std::vector<int64_t>& shares);

}  // namespace ddpm
