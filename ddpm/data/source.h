// Where training pictures come from, chosen by one string:
//   FOLDER               every PNG, JPEG, WebP, GIF, TIFF, BMP, HEIC and AVIF file below it
//   emoji, emoji:GROUP   Noto's colour emoji, e.g. emoji:smileys-emotion, emoji:cat-face
//   mnist:DIR            the training images of an MNIST-like set (IDX files, gzipped or not); also
//                        mnist:FILE
//   cifar10:DIR          CIFAR-10's binary version
// A folder whose name looks like another source is reached as ./emoji or folder:emoji.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ddpm/data/dataset.h"
#include "ddpm/data/fingerprint.h"
#include "ddpm/data/load_report.h"

namespace ddpm {

struct SourceOptions {
  ImageSize size;                    // of every picture; 0 x 0: the source's own where it has one
  std::string channels = "auto";     // "1", "3", "4"; "auto": the fewest that hold all pictures
  std::string background = "white";  // under transparency that is not kept; as parse_colour takes
  // Of an earlier loading, or null: contents are hashed again only where size or time changed.
  const DataFingerprint* known = nullptr;
};

struct LoadedSource {
  Dataset dataset;
  LoadReport report;
  DataFingerprint fingerprint;  // of the files that gave pictures
};

// Called in turn, not at once, though from several threads, with done = 1 ... total. What it throws
// ends the loading and is rethrown by load_source.
using LoadProgress = std::function<void(int64_t done, int64_t total)>;

// Decodes everything once, in parallel. The pictures' order does not depend on the machine. A
// damaged or unreadable file is skipped and reported. Throws SystemError where a failure of the
// system (is_transient) would leave a file out that another try may read; Error when nothing usable
// is found, saying what was looked for and where; and UsageError for a source or options that are
// not valid.
LoadedSource load_source(const std::string& source, const SourceOptions& options,
                         const LoadProgress& progress = {});

// The same source named from every working directory: "photos" -> "/home/x/photos", "mnist:d" ->
// "mnist:/home/x/d", "emoji:g" as it is. Throws UsageError where load_source does for the name.
std::string absolute_source(const std::string& source);

struct SourceKind {
  std::string form;   // "emoji[:GROUP]"
  std::string about;  // one line for people
};

// For help texts.
std::vector<SourceKind> source_kinds();

}  // namespace ddpm
