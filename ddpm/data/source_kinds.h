// The parts that source.cpp and the files of the single sources share. Private to data.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/data/fingerprint.h"
#include "ddpm/data/load_report.h"
#include "ddpm/data/resize.h"
#include "ddpm/data/source_files.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct Picture {
  // [H, W, 1, 3 or 4]
  Tensor image;
  // Empty if a file holds many pictures.
  SourceFile file;
};

// The contents of a source before anything is decoded.
struct PictureList {
  // The name of the data set.
  std::string name;
  // As in LoadReport.
  std::string looked_for;
  std::string note;
  // 0 x 0: the source has no size of its own.
  ImageSize own_size;
  // The channels that "auto" means for this source. 0: the pictures decide.
  int64_t own_channels = 0;
  // The number of pictures.
  int64_t count = 0;
  // The files of the pictures, if one file holds many pictures.
  DataFingerprint containers;
  std::vector<SkippedFile> skipped;
  // The file of picture i without its hash: what a look at the folder says. Null if one file holds
  // many pictures.
  std::function<SourceFile(int64_t i)> file_of;
  // The name of picture i, for messages.
  std::function<std::string(int64_t i)> path_of;
  // Returns the class of each picture, empty for no class. Throws UsageError if no picture has one.
  // Null: the source has no classes.
  std::function<std::vector<std::string>()> classes;
  // Loads picture i, fitted as by fit_image() (a size of 0 x 0 only for folders). Several threads
  // call it. Throws Error if the picture is damaged.
  std::function<Picture(int64_t i, const Fitting& fitting)> load;
};

using SharedReader = std::shared_ptr<const FileReader>;

PictureList list_folder(const std::string& folder, const SharedReader& reader);
// A .zip or .tar. What the archive holds of other kinds, or damaged, is among the skipped.
PictureList list_archive(const std::string& path, const SharedReader& reader);
// A list of one file, whether it is a picture or not: load() finds out.
PictureList list_file(const std::string& path, const SharedReader& reader);
// A folder, or one IDX file.
PictureList list_mnist(const std::string& argument, const SharedReader& reader);
PictureList list_cifar10(const std::string& folder, const SharedReader& reader);

// The files of Debian's packages fonts-noto-color-emoji and unicode-data.
struct EmojiFiles {
  std::string font = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf";
  std::string table = "/usr/share/unicode/emoji/emoji-test.txt";
};
// group: a group or subgroup such as "cat-face". Empty: all.
PictureList list_emoji(const std::string& group, const SharedReader& reader,
                       const EmojiFiles& files = {});

// The pictures of the source that the string names.
PictureList list_source(const std::string& source, const SharedReader& reader);

// "; a.png: the file is empty; and 3 more". Names at most three files. Empty if there are none.
std::string describe_skipped(const std::vector<SkippedFile>& skipped);

// Throws Error unless the path is a folder. The error names what was looked for in it.
void require_folder(const std::string& folder, std::string_view looked_for);

}  // namespace ddpm
