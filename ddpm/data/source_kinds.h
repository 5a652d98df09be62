// What source.cpp and the files of the single sources share. Private to this room.
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
  // Empty where files hold many pictures.
  SourceFile file;
};

// What a source holds before anything is decoded.
struct PictureList {
  // Of the data set.
  std::string name;
  // As in LoadReport.
  std::string looked_for;
  std::string note;
  // 0 x 0: the source has no size of its own.
  ImageSize own_size;
  // The channels that "auto" means here. 0: the pictures decide.
  int64_t own_channels = 0;
  // How many pictures there are.
  int64_t count = 0;
  // The files that gave pictures, where a file holds many.
  DataFingerprint containers;
  std::vector<SkippedFile> skipped;
  // The name of picture i for messages.
  std::function<std::string(int64_t i)> path_of;
  // Picture i, scaled and cut. Called from several threads. Throws Error where it is damaged.
  std::function<Picture(int64_t i, ImageSize size)> load;
};

using SharedReader = std::shared_ptr<const FileReader>;

PictureList list_folder(const std::string& folder, const SharedReader& reader);
// A folder, or one IDX file.
PictureList list_mnist(const std::string& argument, const SharedReader& reader);
PictureList list_cifar10(const std::string& folder, const SharedReader& reader);

// Where Debian's packages fonts-noto-color-emoji and unicode-data put their files.
struct EmojiFiles {
  std::string font = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf";
  std::string table = "/usr/share/unicode/emoji/emoji-test.txt";
};
// group: a group or subgroup such as "cat-face"; empty: all.
PictureList list_emoji(const std::string& group, const SharedReader& reader,
                       const EmojiFiles& files = {});

// "; a.png: the file is empty; and 3 more": names at most three files. Empty where there are none.
std::string describe_skipped(const std::vector<SkippedFile>& skipped);

// Throws Error unless the path is a folder, naming what was looked for in it.
void require_folder(const std::string& folder, std::string_view looked_for);

}  // namespace ddpm
