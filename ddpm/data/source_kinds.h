// Between source.cpp and the files that know one kind of source each. Not for other rooms.
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
  Tensor image;     // [H, W, 1, 3 or 4]
  SourceFile file;  // where every picture has a file of its own
};

// What a source holds before anything is decoded.
struct PictureList {
  std::string name;            // of the data set
  std::string looked_for;      // LoadReport::looked_for
  std::string note;            // LoadReport::note
  ImageSize own_size;          // 0 x 0: has none
  int64_t own_channels = 0;    // what "auto" means here; 0: decided by the pictures
  int64_t count = 0;           // of pictures
  DataFingerprint containers;  // where files hold many pictures: those that gave some
  std::vector<SkippedFile> skipped;
  std::function<std::string(int64_t i)> path_of;  // what picture i is called
  // Picture i, scaled and cut. Called from several threads. Throws Error where it is damaged.
  std::function<Picture(int64_t i, ImageSize size)> load;
};

using SharedReader = std::shared_ptr<const FileReader>;

PictureList list_folder(const std::string& folder, const SharedReader& reader);
PictureList list_mnist(const std::string& folder, const SharedReader& reader);
PictureList list_cifar10(const std::string& folder, const SharedReader& reader);

// Debian's places: fonts-noto-color-emoji and unicode-data.
struct EmojiFiles {
  std::string font = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf";
  std::string table = "/usr/share/unicode/emoji/emoji-test.txt";
};
// group: a group's or subgroup's slug, empty: all.
PictureList list_emoji(const std::string& group, const SharedReader& reader,
                       const EmojiFiles& files = {});

// "; a.png: the file is empty; and 3 more", with at most three files; empty where there are none.
std::string describe_skipped(const std::vector<SkippedFile>& skipped);

// Throws Error unless the path is a folder, naming what was looked for in it.
void require_folder(const std::string& folder, std::string_view looked_for);

}  // namespace ddpm
