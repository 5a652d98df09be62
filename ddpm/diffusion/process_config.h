// The forward process that a network is trained on. It is stored in the model's file.
#pragma once

#include <cstdint>
#include <string>

namespace ddpm {

class Fields;

struct ProcessConfig {
  std::string schedule = "linear";
  int64_t timesteps = 1000;
  std::string objective = "eps";

  void fields(Fields& field);
};

}  // namespace ddpm
