// What Trainer::step() throws on rank 0 if the pictures of a step are not there on some rank.
#pragma once

#include "ddpm/base/error.h"

namespace ddpm {

// The step was not done, and the ranks can go on with anything else.
class PicturesLost : public Error {
 public:
  using Error::Error;
};

}  // namespace ddpm
