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
  // Of every picture; 0 x 0: the size that the source has itself.
  ImageSize size;
  // "1", "3", "4", or "auto": the fewest that hold all pictures.
  std::string channels = "auto";
  // The colour behind transparent pixels where transparency is not kept; see parse_colour().
  std::string background = "white";
  // From an earlier loading, or null. Files whose size and time are the same are not hashed again.
  const DataFingerprint* known = nullptr;
};

struct LoadedSource {
  // Its fingerprint is that of the files that gave pictures.
  Dataset dataset;
  LoadReport report;
};

// Called with done = 1 ... total, from several threads but never at the same time. An exception
// that it throws ends the loading and is rethrown by load_source().
using LoadProgress = std::function<void(int64_t done, int64_t total)>;

// Decodes everything once, in parallel. The order of the pictures does not depend on the machine.
// Damaged and unreadable files are skipped and reported. Throws SystemError where a file cannot be
// read because the system failed (is_transient) and another try may succeed; Error where nothing
// usable is found, naming what was looked for and where; and UsageError for a source or options
// that are not valid.
LoadedSource load_source(const std::string& source, const SourceOptions& options,
                         const LoadProgress& progress = {});

// The source with an absolute path, so that it is the same from every working directory: "photos"
// -> "/home/x/photos", "mnist:d" -> "mnist:/home/x/d", "emoji:g" stays as it is. Throws UsageError
// for a name that load_source() does not take.
std::string absolute_source(const std::string& source);

struct SourceKind {
  // "emoji[:GROUP]"
  std::string form;
  // One line of help.
  std::string about;
};

// For help texts.
std::vector<SourceKind> source_kinds();

}  // namespace ddpm
