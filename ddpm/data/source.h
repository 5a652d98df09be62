// Where training pictures come from, chosen by one string:
//   FOLDER               every PNG, JPEG, WebP, GIF, TIFF and BMP file below it
//   emoji, emoji:GROUP   Noto's colour emoji, e.g. emoji:smileys-emotion, emoji:cat-face
//   mnist:DIR            the training images of an MNIST-like set (IDX files, gzipped or not)
//   cifar10:DIR          CIFAR-10's binary version
// A folder whose name looks like another source is reached as ./emoji or folder:emoji.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ddpm/data/dataset.h"

namespace ddpm {

struct SourceOptions {
  ImageSize size;                    // of every picture; 0 x 0: the source's own where it has one
  std::string channels = "auto";     // "1", "3", "4"; "auto": the fewest that hold all pictures
  std::string background = "white";  // under transparency that is not kept; as parse_colour takes
};

struct SkippedFile {
  std::string path;
  std::string reason;
};

struct LoadReport {
  int64_t loaded = 0;
  std::vector<SkippedFile> skipped;  // damaged or unreadable, in the source's order
  std::string looked_for;            // what the source takes, and where it looked
  std::string note;                  // what else a user should know; may be empty
};

struct LoadedSource {
  Dataset dataset;
  LoadReport report;
};

// Called in turn, not at once, though from several threads, with done = 1 ... total. What it throws
// ends the loading and is rethrown by load_source.
using LoadProgress = std::function<void(int64_t done, int64_t total)>;

// Decodes everything once, in parallel. The pictures' order does not depend on the machine. A
// damaged file is skipped and reported. Throws Error when nothing usable is found, saying what was
// looked for and where, and UsageError for a source or options that cannot be.
LoadedSource load_source(const std::string& source, const SourceOptions& options,
                         const LoadProgress& progress = {});

struct SourceKind {
  std::string form;   // "emoji[:GROUP]"
  std::string about;  // one line for people
};

// For help texts.
std::vector<SourceKind> source_kinds();

}  // namespace ddpm
