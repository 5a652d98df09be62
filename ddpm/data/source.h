// The sources of training pictures. A source is chosen by a string:
//   FOLDER               every PNG, JPEG, WebP, GIF, TIFF, BMP, HEIC and AVIF file below it
//   FILE.zip, FILE.tar   the same files in an archive; a .tar may be compressed
//   emoji, emoji:GROUP   Noto's colour emoji, e.g. emoji:smileys-emotion, emoji:cat-face
//   mnist:DIR            the training images of an MNIST-like set (IDX files, gzipped or not); also
//                        mnist:FILE
//   cifar10:DIR          CIFAR-10's binary version
// A folder whose name looks like another source is given as ./emoji or folder:emoji.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ddpm/data/dataset.h"
#include "ddpm/data/fingerprint.h"
#include "ddpm/data/load_report.h"
#include "ddpm/data/stream/picture_index.h"

namespace ddpm {

class Communicator;

struct SourceOptions {
  // The size of every picture. 0 x 0: the source's own size.
  ImageSize size;
  // "1", "3", "4", or "auto", which means the fewest that hold all pictures.
  std::string channels = "auto";
  // The colour behind transparent pixels if transparency is not kept; see parse_colour().
  std::string background = "white";
  // The fingerprint of an earlier loading, or null. Files with the same size and time are not
  // hashed again.
  const DataFingerprint* known = nullptr;
  // Give the pictures the source's own classes: the folders inside FOLDER, the groups of emoji, the
  // labels of MNIST and CIFAR-10.
  bool classes = false;
  // The same, but only if there are 2 to 1,000 classes, of at least 8 pictures on average, and if
  // nine pictures of ten have one. Otherwise the pictures get none.
  bool usable_classes = false;
  // For a folder: take the classes from a table, a CSV file of file names and classes
  // (label_table.h).
  std::string labels = {};
  // "cover", "contain" or "pad", as in resize.h. The borders have the background's colour.
  std::string fit = "cover";
  // "centre", or "random" if BatchPlan::crops chooses the part (open_source() only).
  std::string crop = "centre";
  // For open_source(). "on": pictures stay in their files until a batch needs them. "off": all are
  // decoded into memory. "auto": "on" if they would take more than half of the free memory. Batches
  // have the same bits.
  std::string stream = "auto";
  // For open_source(): what an earlier call has found out, or null. Files with the same name, size
  // and time are not read before a batch needs them.
  const PictureIndex* index = nullptr;
  // For open_source(): the ranks that all call it with the same options. Each decodes a part of the
  // pictures, and all of them get all pictures. Null if this process is alone.
  Communicator* ranks = nullptr;
};

struct LoadedSource {
  // Its fingerprint lists the files from which pictures were read, and the classes if there are
  // any.
  Dataset dataset;
  LoadReport report;
};

struct LoadedPictures {
  std::shared_ptr<const Pictures> pictures;
  LoadReport report;
  // For the next call. Without entries if one file holds many pictures.
  PictureIndex index;
};

// Called with done = 1 ... total, from several threads but never at the same time. If it throws an
// exception, loading stops and load_source() rethrows the exception.
using LoadProgress = std::function<void(int64_t done, int64_t total)>;

// Decodes all pictures once, in parallel. Their order does not depend on the machine. Damaged and
// unreadable files are skipped and reported. Throws SystemError if a file cannot be read because
// the system failed (is_transient), so that another try may succeed. Throws Error if nothing usable
// is found, naming what was looked for and where. Throws UsageError for an invalid source or
// invalid options, and if classes are asked for but the source has none.
LoadedSource load_source(const std::string& source, const SourceOptions& options,
                         const LoadProgress& progress = {});

// The same pictures, in memory or in their files (SourceOptions::stream). Every file is decoded
// once to find those that are damaged and the number of channels, unless the index tells. So only
// sound pictures are streamed. A file that changes later is an Error of Pictures::batch() that
// names it. `progress` is not called if the index knows all files.
LoadedPictures open_source(const std::string& source, const SourceOptions& options,
                           const LoadProgress& progress = {});

// The source with an absolute path, so that it is valid in every working directory: "photos" ->
// "/home/x/photos", "mnist:d" -> "mnist:/home/x/d". "emoji:g" stays unchanged. Throws UsageError
// for a name that load_source() does not accept.
std::string absolute_source(const std::string& source);

// Whether load_source() would read a folder of picture files. Throws UsageError as it does.
bool is_folder_source(const std::string& source);

// Whether it would read an archive. Throws UsageError as it does.
bool is_archive_source(const std::string& source);

// Whether the file looks like a .zip or .tar archive, compressed or not: by its first bytes. False
// if there is no such file. Throws SystemError if it cannot be read.
bool looks_like_archive(const std::string& path);

struct SourceKind {
  // "emoji[:GROUP]"
  std::string form;
  // One line of help.
  std::string about;
};

// For help texts.
std::vector<SourceKind> source_kinds();

}  // namespace ddpm
