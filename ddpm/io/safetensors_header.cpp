// The header is read event by event (SAX), because a tree would silently keep only one of two equal
// keys. Nesting deeper than the format's three levels is refused where it starts. Numbers are
// checked afterwards: the extents, the sizes, and that the byte ranges cover the data exactly once.
#include "ddpm/io/safetensors_header.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/base/utf8.h"

namespace ddpm {
namespace {

using Json = nlohmann::json;
constexpr const char* kMetadataKey = "__metadata__";

// The description of a tensor before it is checked.
struct Draft {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> offsets;
  std::set<std::string> fields;
};

// Bytes per element. 0 for types that the format does not have or that take less than a byte.
int64_t dtype_bytes(std::string_view dtype) {
  static constexpr std::pair<std::string_view, int64_t> kTypes[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
      {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},     {"U32", 4},
      {"F32", 4},  {"F64", 8}, {"I64", 8}, {"U64", 8},     {"C64", 8}};
  for (const auto& [name, bytes] : kTypes) {
    if (name == dtype) return bytes;
  }
  return 0;
}

class HeaderEvents : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderEvents(const std::string& path) : path_(path) {}

  SafetensorsMetadata metadata;
  std::vector<Draft> drafts;

  bool null() override { unexpected("null"); }
  bool boolean(bool value) override { unexpected(value ? "true" : "false"); }
  bool number_float(double, const std::string& text) override { unexpected(in_quotes(text)); }
  bool binary(Json::binary_t&) override { unexpected("binary"); }

  bool number_integer(int64_t value) override {
    if (place_ == Place::kShape) {
      bad(fmt::format("tensor {} has the negative extent {}", tensor(), value));
    }
    if (place_ == Place::kOffsets) {
      bad(fmt::format("tensor {} has the negative offset {}", tensor(), value));
    }
    unexpected(fmt::format("the number {}", value));
  }

  bool number_unsigned(uint64_t value) override {
    if (place_ == Place::kShape) {
      if (drafts.back().shape.size() == Shape::kMaxRank) {
        bad(fmt::format("tensor {} has more than {} axes", tensor(), int{Shape::kMaxRank}));
      }
      drafts.back().shape.push_back(value);
    } else if (place_ == Place::kOffsets) {
      if (drafts.back().offsets.size() == 2) {
        bad(fmt::format("tensor {} has more than two data_offsets", tensor()));
      }
      drafts.back().offsets.push_back(value);
    } else {
      unexpected(fmt::format("the number {}", value));
    }
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) {
      metadata[key_] = value;
    } else if (place_ == Place::kTensor && key_ == "dtype") {
      drafts.back().dtype = value;
    } else {
      unexpected(fmt::format("the text {}", in_quotes(value)));
    }
    return true;
  }

  bool start_object(size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop && key_ == kMetadataKey) {
      place_ = Place::kMetadata;
    } else if (place_ == Place::kTop) {
      place_ = Place::kTensor;
      drafts.push_back({.name = key_, .dtype = {}, .shape = {}, .offsets = {}, .fields = {}});
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(std::string& name) override {
    bool first = true;
    if (place_ == Place::kTop) {
      first = names_.insert(name).second;
    } else if (place_ == Place::kMetadata) {
      first = !metadata.contains(name);
    } else {
      if (name != "dtype" && name != "shape" && name != "data_offsets") {
        bad(fmt::format("tensor {} has the unknown field {}", tensor(), in_quotes(name)));
      }
      first = drafts.back().fields.insert(name).second;
    }
    if (!first) {
      const std::string where = place_ == Place::kTop        ? ""
                                : place_ == Place::kMetadata ? " in the metadata"
                                                             : " of tensor " + tensor();
      bad(fmt::format("the key {}{} appears twice", in_quotes(name), where));
    }
    key_ = name;
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      for (const char* field : {"dtype", "shape", "data_offsets"}) {
        if (!drafts.back().fields.contains(field)) {
          bad(fmt::format("tensor {} lacks its {}", tensor(), field));
        }
      }
    }
    place_ = Place::kTop;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ == Place::kTensor && key_ == "shape") {
      place_ = Place::kShape;
    } else if (place_ == Place::kTensor && key_ == "data_offsets") {
      place_ = Place::kOffsets;
    } else {
      unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    bad(fmt::format("its header is not valid JSON at byte {}", position));
  }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kShape, kOffsets };

  std::string tensor() const { return in_quotes(drafts.back().name); }

  [[noreturn]] void bad(const std::string& what) const {
    fail("safetensors", fmt::format("{}: {}", path_, what));
  }

  [[noreturn]] void unexpected(const std::string& found) const {
    switch (place_) {
      case Place::kStart:
        bad(fmt::format("its header is {}, not an object", found));
      case Place::kTop:
        bad(fmt::format("{} is {}, not an object", in_quotes(key_), found));
      case Place::kMetadata:
        bad(fmt::format("the metadata {} is {}, not a text", in_quotes(key_), found));
      case Place::kTensor:
        bad(fmt::format("the {} of tensor {} is {}, not {}", key_, tensor(), found,
                        key_ == "dtype" ? "a text" : "an array"));
      case Place::kShape:
        bad(fmt::format("the shape of tensor {} holds {}, not whole numbers alone", tensor(),
                        found));
      case Place::kOffsets:
        bad(fmt::format("the data_offsets of tensor {} hold {}, not whole numbers alone", tensor(),
                        found));
    }
    bad("its header has an unexpected form");
  }

  const std::string& path_;
  Place place_ = Place::kStart;
  std::string key_;
  std::set<std::string> names_;
};

SafetensorsEntry check_entry(const Draft& draft, int64_t data_bytes, const std::string& path) {
  const auto bad = [&](const std::string& what) {
    fail("safetensors", fmt::format("{}: tensor {} {}", path, in_quotes(draft.name), what));
  };
  const int64_t element = dtype_bytes(draft.dtype);
  if (element == 0) bad(fmt::format("has the unknown type {}", in_quotes(draft.dtype)));

  // Extents of 0 are left out of the product. Then no partial product overflows, in whatever order
  // the axes are multiplied later.
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  uint64_t bytes = static_cast<uint64_t>(element);
  bool empty = false;
  int64_t extents[Shape::kMaxRank];
  for (size_t i = 0; i < draft.shape.size(); ++i) {
    const uint64_t extent = draft.shape[i];
    empty = empty || extent == 0;
    if (extent > kMax / bytes) bad("has a shape whose size overflows");
    if (extent > 0) bytes *= extent;
    extents[i] = static_cast<int64_t>(extent);
  }
  if (empty) bytes = 0;

  if (draft.offsets.size() != 2) bad("has fewer than two data_offsets");
  const uint64_t begin = draft.offsets[0], end = draft.offsets[1];
  if (begin > end) bad(fmt::format("has its data_offsets [{}, {}] reversed", begin, end));
  if (end > static_cast<uint64_t>(data_bytes)) {
    bad(fmt::format("ends at byte {} of data that has {}; the file may be truncated", end,
                    data_bytes));
  }
  const Shape shape(extents, static_cast<int>(draft.shape.size()));
  if (end - begin != bytes) {
    bad(fmt::format("takes {} bytes, but {} {} needs {}", end - begin, draft.dtype, shape.str(),
                    bytes));
  }
  return {draft.name, draft.dtype, shape, static_cast<int64_t>(begin), static_cast<int64_t>(end)};
}

void check_coverage(const std::vector<SafetensorsEntry>& entries, int64_t data_bytes,
                    const std::string& path) {
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(entries[a].begin, entries[a].end) <
           std::pair(entries[b].begin, entries[b].end);
  });
  int64_t covered = 0;
  const SafetensorsEntry* previous = nullptr;
  for (size_t i : order) {
    const SafetensorsEntry& entry = entries[i];
    if (entry.begin < covered) {
      fail("safetensors", fmt::format("{}: tensors {} and {} overlap", path,
                                      in_quotes(previous->name), in_quotes(entry.name)));
    }
    if (entry.begin > covered) {
      fail("safetensors", fmt::format("{}: {} bytes before tensor {} belong to no tensor", path,
                                      entry.begin - covered, in_quotes(entry.name)));
    }
    covered = entry.end;
    previous = &entry;
  }
  if (covered != data_bytes) {
    fail("safetensors",
         fmt::format("{}: {} bytes at its end belong to no tensor", path, data_bytes - covered));
  }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, int64_t data_bytes,
                                           const std::string& path) {
  if (const size_t bad = find_invalid_utf8(text); bad != std::string_view::npos) {
    fail("safetensors", fmt::format("{}: its header is not UTF-8 at byte {}", path, bad));
  }
  // The JSON library stops at a NUL and would ignore what follows it.
  if (const size_t bad = text.find('\0'); bad != std::string_view::npos) {
    fail("safetensors", fmt::format("{}: its header is not valid JSON at byte {}", path, bad));
  }
  HeaderEvents events(path);
  Json::sax_parse(text, &events);

  SafetensorsHeader header;
  header.metadata = std::move(events.metadata);
  header.entries.reserve(events.drafts.size());
  for (const Draft& draft : events.drafts) {
    header.entries.push_back(check_entry(draft, data_bytes, path));
  }
  check_coverage(header.entries, data_bytes, path);
  return header;
}

std::string in_quotes(std::string_view name) { return fmt::format("\"{}\"", shortened(name)); }

}  // namespace ddpm
