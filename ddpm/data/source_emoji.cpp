// Noto's colour emoji: a font whose glyphs are PNG bitmaps of 136 x 128 (CBDT). Emoji of several
// code points (families, flags, skin tones) are ligatures, which need a shaping engine. They are
// left out and counted. The names and groups are Unicode's.
#include <fmt/core.h>
#include <ft2build.h>
#include FT_FREETYPE_H

#include <algorithm>
#include <charconv>
#include <memory>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/data/resize.h"
#include "ddpm/data/source_kinds.h"

namespace ddpm {
namespace {

struct Emoji {
  // Without the variation selector.
  std::vector<uint32_t> code_points;
  // For example "E1.0 grinning face".
  std::string name;
  // Slugs, for example "smileys-emotion".
  std::string group;
  std::string subgroup;
};

// "Smileys & Emotion" -> "smileys-emotion"
std::string slug_of(std::string_view text) {
  std::string slug;
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
      slug += upper ? static_cast<char>(c - 'A' + 'a') : c;
    else if (!slug.empty() && slug.back() != '-')
      slug += '-';
  }
  while (slug.ends_with('-')) slug.pop_back();
  return slug;
}

std::vector<uint32_t> parse_code_points(std::string_view text) {
  constexpr uint32_t kVariationSelector = 0xFE0F;
  std::vector<uint32_t> points;
  for (size_t i = 0; i < text.size();) {
    uint32_t point = 0;
    const auto [end, error] =
        std::from_chars(text.data() + i, text.data() + text.size(), point, 16);
    if (error != std::errc()) break;
    if (point != kVariationSelector) points.push_back(point);
    i = static_cast<size_t>(end - text.data());
    while (i < text.size() && text[i] == ' ') ++i;
  }
  return points;
}

// Parses Unicode's emoji-test.txt, with lines "# group: NAME", "# subgroup: NAME" and "CODES ;
// status # emoji E1.0 name".
std::vector<Emoji> parse_table(const std::string& text, const std::string& path) {
  std::vector<Emoji> all;
  std::string group, subgroup;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    if (line.starts_with("# group: ")) group = slug_of(line.substr(9));
    if (line.starts_with("# subgroup: ")) subgroup = slug_of(line.substr(12));
    const size_t semicolon = line.find(';'), hash = line.find('#');
    if (line.starts_with("#") || semicolon == line.npos || hash == line.npos) continue;
    if (line.substr(semicolon).find("fully-qualified") != 2) continue;
    const size_t version = line.find(" E", hash);
    const size_t name = version == line.npos ? std::min(hash + 2, line.size()) : version + 1;
    all.push_back({parse_code_points(line.substr(0, semicolon)), std::string(line.substr(name)),
                   group, subgroup});
  }
  if (all.empty()) fail("emoji", fmt::format("{} lists no emoji", path));
  return all;
}

struct FontCloser {
  void operator()(FT_Library library) const { FT_Done_FreeType(library); }
  void operator()(FT_Face face) const { FT_Done_Face(face); }
};

// A FreeType object must stay on one thread, so each thread opens the font. This is cheap compared
// with decoding the PNG of a glyph.
struct Font {
  explicit Font(const std::string& bytes, const std::string& path) {
    FT_Library opened = nullptr;
    if (FT_Init_FreeType(&opened) != 0) fail("emoji", "cannot initialise FreeType");
    library.reset(opened);
    FT_Face loaded = nullptr;
    if (FT_New_Memory_Face(opened, reinterpret_cast<const FT_Byte*>(bytes.data()),
                           static_cast<FT_Long>(bytes.size()), 0, &loaded) != 0)
      fail("emoji", fmt::format("{} is not a font that FreeType can read", path));
    face.reset(loaded);
    if (!FT_HAS_COLOR(loaded) || loaded->num_fixed_sizes < 1 || FT_Select_Size(loaded, 0) != 0)
      fail("emoji", fmt::format("{} has no colour bitmaps", path));
  }
  std::unique_ptr<FT_LibraryRec_, FontCloser> library;
  std::unique_ptr<FT_FaceRec_, FontCloser> face;
};

// Draws the glyph in the middle of a transparent square, [S, S, 4], so that wide glyphs are not
// cut.
Tensor draw(const Font& font, uint32_t code_point) {
  const FT_UInt glyph = FT_Get_Char_Index(font.face.get(), code_point);
  if (glyph == 0) fail("emoji", "the font has no picture of it");
  if (FT_Load_Glyph(font.face.get(), glyph, FT_LOAD_COLOR) != 0)
    fail("emoji", "FreeType cannot load its picture");
  const FT_Bitmap& bitmap = font.face->glyph->bitmap;
  const int64_t height = bitmap.rows, width = bitmap.width, side = std::max(height, width);
  if (bitmap.pixel_mode != FT_PIXEL_MODE_BGRA || side == 0)
    fail("emoji", "its picture has no colours");
  Tensor picture({side, side, 4}, DType::kUInt8);
  std::fill_n(picture.u8(), picture.bytes(), uint8_t{0});
  const int64_t top = (side - height) / 2, left = (side - width) / 2;
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* in = bitmap.buffer + y * bitmap.pitch;
    uint8_t* out = picture.u8() + ((top + y) * side + left) * 4;
    for (int64_t x = 0; x < width; ++x, in += 4, out += 4) {
      const int alpha = in[3];
      if (alpha == 0) continue;
      // FreeType returns blue, green and red, multiplied by alpha.
      for (int c = 0; c < 3; ++c)
        out[c] = static_cast<uint8_t>(std::min(255, (in[2 - c] * 255 + alpha / 2) / alpha));
      out[3] = static_cast<uint8_t>(alpha);
    }
  }
  return picture;
}

std::vector<Emoji> choose(std::vector<Emoji> all, const std::string& group) {
  if (group.empty()) return all;
  std::vector<std::string> groups;
  for (const Emoji& emoji : all)
    if (groups.empty() || groups.back() != emoji.group) groups.push_back(emoji.group);
  std::erase_if(all, [&](const Emoji& e) { return e.group != group && e.subgroup != group; });
  if (all.empty()) {
    fail_usage("emoji", fmt::format("there is no group '{}'; give {}, or a group inside these such "
                                    "as cat-face, animal-mammal or food-fruit",
                                    group, join_choices(groups)));
  }
  return all;
}

FileReader::Contents read_installed(const FileReader& reader, const std::string& path,
                                    const char* package) {
  constexpr int64_t kMostBytes = int64_t{1} << 28;
  if (!find_file(path))
    fail("emoji", fmt::format("{} is missing; install Debian's package {}", path, package));
  return reader.read(path, base_name(path), kMostBytes);
}

}  // namespace

PictureList list_emoji(const std::string& group, const SharedReader& reader,
                       const EmojiFiles& files) {
  FileReader::Contents font = read_installed(*reader, files.font, "fonts-noto-color-emoji");
  FileReader::Contents table = read_installed(*reader, files.table, "unicode-data");
  std::vector<Emoji> chosen = choose(parse_table(table.bytes, files.table), group);
  const auto composed =
      std::erase_if(chosen, [](const Emoji& e) { return e.code_points.size() != 1; });
  PictureList list;
  list.name = group.empty() ? "emoji" : fmt::format("emoji:{}", group);
  list.looked_for = fmt::format("the colour emoji of {}, grouped by {}", files.font, files.table);
  if (composed > 0) {
    list.note = fmt::format(
        "left out {} emoji that are composed of several (skin tones, flags, "
        "families)",
        composed);
  }
  if (chosen.empty())
    fail("emoji", fmt::format("{} holds only emoji that are composed of several", list.name));
  list.own_channels = 3;
  list.count = static_cast<int64_t>(chosen.size());
  list.containers.files = {font.file, table.file};
  // The group is part of the fingerprint, because it decides which pictures are used.
  if (!group.empty()) list.containers.files.back().name += ":" + group;
  const auto bytes = std::make_shared<const std::string>(std::move(font.bytes));
  // Fails here, once, if the font cannot be read. Otherwise every emoji would fail.
  const Font probe(*bytes, files.font);
  list.path_of = [chosen](int64_t i) {
    return fmt::format("U+{:04X} {}", chosen[i].code_points[0], chosen[i].name);
  };
  list.classes = [chosen, group] {
    // Inside a group its subgroups are what tells emoji apart.
    std::vector<std::string> names;
    for (const Emoji& emoji : chosen) names.push_back(group.empty() ? emoji.group : emoji.subgroup);
    return names;
  };
  list.load = [bytes, chosen, path = files.font](int64_t i, const Fitting& fitting) -> Picture {
    return {fit_image(draw(Font(*bytes, path), chosen[i].code_points[0]), fitting), {}};
  };
  return list;
}

}  // namespace ddpm
