// The result of ddpm eval, as text and as JSON.
#pragma once

#include <optional>
#include <string>

#include "ddpm/base/json.h"
#include "ddpm/engine/evaluator.h"
#include "ddpm/engine/model_bits.h"

namespace ddpm::cli {

struct EvalReport {
  // What is judged, and with what it is compared, for users.
  std::string judged, real;
  // How the judged pictures were drawn. Empty for those of a folder.
  JsonObject drawing;
  const Evaluation& evaluation;
  std::optional<ModelBits> bits;
};

// One JSON object. Figures that could not be computed are null.
std::string json_of(const EvalReport& report);
// Some lines. The warnings are not among them.
std::string text_of(const EvalReport& report);

}  // namespace ddpm::cli
