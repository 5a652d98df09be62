// Which forward process a network is trained on. Part of a model's file.
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
