// The pictures of a source, and of a folder the other pictures that are their conditions.
#pragma once

#include <memory>
#include <string>

#include "ddpm/data/condition.h"
#include "ddpm/data/load_report.h"
#include "ddpm/data/pictures.h"
#include "ddpm/data/source.h"

namespace ddpm {

// Loads the pictures of `source`, a folder, and of `conditions`, another one. Partners have the
// same name below their folders, whatever the extension: photos/a/1.jpg and edges/a/1.png. Both are
// scaled and cut alike; conditions have the fewest channels that hold them all. `options.known` may
// be the fingerprint of pairs. The report and the index are of both; pictures without a partner are
// among the skipped. `progress` is called for one folder after the other. Throws as
// open_source() does; UsageError also for a source that is no folder, for two files of a folder
// that differ in their extensions alone, and if no picture has a partner.
LoadedPictures load_pairs(const std::string& source, const std::string& conditions,
                          const SourceOptions& options, const LoadProgress& progress = {});

// open_source(), or load_pairs() if the condition is a folder. Conditions that follow from the
// pictures are not added; see with_condition() of condition.h.
LoadedPictures load_pictures(const std::string& source, const ImageCondition& condition,
                             const SourceOptions& options, const LoadProgress& progress = {});

}  // namespace ddpm
