// The flags of guidance that are not options of the library: --guide, and what to say of flags that
// change nothing.
#pragma once

#include <memory>
#include <string>

#include "apps/cli/flags.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"

namespace ddpm::cli {

// The guidance where --guide is given and --guidance is not.
inline constexpr double kUsualAutoguidance = 1.5;

struct GuideFlags {
  // Empty for none.
  std::string path;

  void declare(Flags& flags);
  // Loads the guide and sets the options' guide and, if it was not given, their guidance. The
  // result must outlive the use of the options. Null without --guide.
  std::unique_ptr<const Model> load(const Flags& flags, Device device,
                                    GenerateOptions& options) const;
};

// Warns of flags of guidance that change nothing together with the others.
void warn_of_idle_guidance(const Flags& flags, const GenerateOptions& options, const Model& model);

}  // namespace ddpm::cli
