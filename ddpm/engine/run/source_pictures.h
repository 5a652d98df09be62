// Pictures for a run from the source that its options name.
#pragma once

#include <functional>

#include "ddpm/data/source.h"
#include "ddpm/engine/run/run_types.h"

namespace ddpm {

// What a program may show while pictures are read. Every function may be empty.
struct SourceEvents {
  // As load_source() calls it.
  LoadProgress loading;
  // All pictures are there.
  std::function<void(const LoadReport&, const Dataset&)> loaded;
};

// Loads the source of DataOptions for a run. It throws as load_source() does; UsageError also where
// no source is named or the run's directory is that of the pictures, and Error where the pictures
// of a resumed run are not where they were.
PictureLoader pictures_from_source(SourceEvents events = {});

}  // namespace ddpm
