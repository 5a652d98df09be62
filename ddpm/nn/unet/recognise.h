// What all U-Nets have in common when their options are read off the names and shapes of a state
// dict. `whose` names the network in errors. The functions throw Error if no network can have such
// shapes, and UsageError if `given` does not fit them.
#pragma once

#include <string>
#include <vector>

#include "ddpm/base/json.h"
#include "ddpm/base/options.h"
#include "ddpm/nn/network.h"

namespace ddpm {

// The width of each level as a multiple of dim. `levels` names the list of levels, "downs".
std::vector<int64_t> read_dim_mults(const StateDictShapes& shapes, const std::string& levels,
                                    int64_t dim, const char* whose);
int64_t read_classes(const StateDictShapes& shapes, const char* whose);
int64_t read_augment_channels(const StateDictShapes& shapes, const char* whose);

// The channels of the images if the first convolution reads `inputs` channels. Shapes do not show
// whether an estimate is among them: self_condition is a guess, which `given` corrects.
int64_t read_channels(int64_t inputs, const JsonObject& given, bool& self_condition);

// Throws UsageError if self_condition is given and differs.
void check_given_self_condition(const JsonObject& given, bool self_condition);

// Reads the options that are not in a state dict (Field::not_in_state_dict).
template <class Config>
void take_unseen(const JsonObject& given, Config& config) {
  check_given_self_condition(given, config.self_condition);
  for (const Field& field : fields_of(config)) {
    const std::string* json = given.find(field.name());
    if (json != nullptr && !field.in_state_dict()) field.read(*json);
  }
}

}  // namespace ddpm
