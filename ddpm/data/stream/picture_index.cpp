#include "ddpm/data/stream/picture_index.h"

#include <fmt/core.h>

#include <unordered_set>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "ddpm/data/json_line.h"

namespace ddpm {
namespace {

IndexedPicture parse_picture(std::string_view text) {
  const JsonLine line(text);
  IndexedPicture picture{.file = {.name = line.text("name"),
                                  .bytes = line.number("bytes"),
                                  .modified_ns = line.number("modified_ns"),
                                  .hash = line.text("hash")},
                         .channels = line.number("channels")};
  if (picture.file.name.empty()) fail("data", "the name is empty");
  const int64_t channels = picture.channels;
  if (channels == 0) picture.reason = line.text("reason");
  if (channels != 0 && channels != 1 && channels != 3 && channels != 4)
    fail("data", fmt::format("no picture has {} channels", channels));
  return picture;
}

}  // namespace

std::string to_text(const PictureIndex& index) {
  std::string text;
  for (const IndexedPicture& picture : index.pictures) {
    JsonLineWriter line;
    line.text("name", picture.file.name)
        .number("bytes", picture.file.bytes)
        .number("modified_ns", picture.file.modified_ns)
        .text("hash", picture.file.hash)
        .number("channels", picture.channels);
    if (picture.channels == 0) line.text("reason", picture.reason);
    text += line.line();
  }
  const std::string first =
      JsonLineWriter().text("settings", index.settings).text("hash", hash_hex(text)).line();
  return first + text;
}

PictureIndex index_from_text(std::string_view text, std::string_view what) {
  PictureIndex index;
  std::unordered_set<std::string> names;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    ++number;
    const size_t end = text.find('\n', begin);
    if (end == std::string_view::npos)
      fail("data", fmt::format("{}, line {} is cut short", what, number));
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    try {
      if (number == 1) {
        const JsonLine first(line);
        index.settings = first.text("settings");
        if (first.text("hash") != hash_hex(text.substr(begin)))
          fail("data", "it has another hash than the lines below");
        continue;
      }
      IndexedPicture picture = parse_picture(line);
      if (!names.insert(picture.file.name).second)
        fail("data", "it has the name of an earlier line");
      index.pictures.push_back(std::move(picture));
    } catch (const Error& error) {
      fail("data",
           fmt::format("{}, line {} does not describe a picture: {}", what, number, error.what()));
    }
  }
  return index;
}

KnownPictures::KnownPictures(const PictureIndex* index, std::string_view settings) {
  if (index == nullptr || index->settings != settings) return;
  by_name_.reserve(index->pictures.size());
  for (const IndexedPicture& picture : index->pictures)
    by_name_.emplace(picture.file.name, &picture);
}

const IndexedPicture* KnownPictures::find(const SourceFile& file) const {
  const auto found = by_name_.find(file.name);
  if (found == by_name_.end()) return nullptr;
  const SourceFile& known = found->second->file;
  const bool same = known.bytes == file.bytes && known.modified_ns == file.modified_ns;
  return same ? found->second : nullptr;
}

}  // namespace ddpm
