// Tensors are read with pread, because mapping the file into memory has a drawback: a file that
// becomes shorter while it is open would end the process by a signal. With pread it is an Error. A
// float32 tensor is read directly into its storage.
#include "ddpm/io/safetensors.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/hash.h"
#include "ddpm/base/retry.h"
#include "ddpm/base/utf8.h"
#include "ddpm/io/safetensors_header.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

namespace {

[[noreturn]] void fail_read(const std::string& path, int error) {
  fail_system("safetensors", fmt::format("cannot read {}: {}", path, std::strerror(error)), error);
}

void read_exactly(int descriptor, void* to, int64_t bytes, int64_t position,
                  const std::string& path) {
  char* next = static_cast<char*>(to);
  while (bytes > 0) {
    const auto chunk = static_cast<size_t>(std::min<int64_t>(bytes, int64_t{1} << 30));
    const ssize_t got = retry([&] { return pread(descriptor, next, chunk, position); });
    if (got < 0) fail_read(path, errno);
    if (got == 0) {
      fail("safetensors", fmt::format("{} ends at byte {}, {} bytes before it should; it was cut "
                                      "short while it was being read",
                                      path, position, bytes));
    }
    next += got;
    position += got;
    bytes -= got;
  }
}

// The form of the checksum in the metadata. It covers the header and the data. While it is
// computed, its own digits in the header are zeros.
constexpr std::string_view kChecksum = "xxh3-128:00000000000000000000000000000000";
constexpr std::string_view kVersionWithoutChecksums = "0.1.0";
constexpr std::string_view kHowToAccept =
    "remove ddpm.checksum and ddpm.version from its metadata to accept it as it is";

std::string checksum_text(const Hasher& hasher) {
  std::string text(kChecksum.substr(0, kChecksum.size() - Hasher::kDigits));
  return text += hasher.hex();
}

// The position of the checksum's value in a header. The key cannot appear anywhere else, because
// quotes inside names and values are escaped.
size_t find_checksum(const std::string& header) {
  const std::string key = fmt::format("\"{}\":\"", kChecksumKey);
  const size_t found = header.find(key);
  if (found == std::string::npos || header.size() - found < key.size() + kChecksum.size())
    return std::string::npos;
  return found + key.size();
}

float from_bfloat16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

float from_float16(uint16_t bits) {
  const uint32_t sign = uint32_t{bits} >> 15 << 31;
  const uint32_t exponent = bits >> 10 & 0x1F;
  const uint32_t mantissa = bits & 0x3FF;
  if (exponent == 0) {
    // Zero and subnormals: mantissa * 2^-24.
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  // 112 = 127 - 15: the difference of the exponents' biases.
  const uint32_t wide = exponent == 0x1F ? 0xFF : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

// Reads elements of type From in chunks and converts each of them.
template <class From, class To, class Convert>
void read_converted(int descriptor, To* to, int64_t elements, int64_t position,
                    const std::string& path, Convert convert) {
  constexpr int64_t kChunk = 1 << 14;
  std::vector<From> chunk(static_cast<size_t>(std::min(elements, kChunk)));
  for (int64_t done = 0; done < elements; done += kChunk) {
    const int64_t count = std::min(kChunk, elements - done);
    read_exactly(descriptor, chunk.data(), count * int64_t{sizeof(From)},
                 position + done * int64_t{sizeof(From)}, path);
    std::transform(chunk.begin(), chunk.begin() + count, to + done, convert);
  }
}

}  // namespace

struct SafetensorsFile::Descriptor {
  explicit Descriptor(int opened) : number(opened) {}
  ~Descriptor() { close(number); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number;
};

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  SafetensorsFile file;
  file.path_ = path;
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  const int descriptor =
      retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (descriptor < 0) fail_read(path, errno);
  file.file_ = std::make_shared<const Descriptor>(descriptor);
  struct stat status {};
  if (retry([&] { return fstat(descriptor, &status); }) != 0) fail_read(path, errno);
  if (S_ISDIR(status.st_mode)) fail_read(path, EISDIR);
  if (!S_ISREG(status.st_mode)) fail("safetensors", fmt::format("{} is not a regular file", path));

  const int64_t size = status.st_size;
  if (size < 8) {
    fail("safetensors", fmt::format("{} has {} bytes, too few for a safetensors file", path, size));
  }
  uint64_t length = 0;
  read_exactly(descriptor, &length, 8, 0, path);
  if (length > kMaxSafetensorsHeader) {
    fail("safetensors", fmt::format("{} claims a header of {} bytes, more than the {} allowed; it "
                                    "is probably not a safetensors file",
                                    path, length, kMaxSafetensorsHeader));
  }
  if (length > static_cast<uint64_t>(size - 8)) {
    fail("safetensors", fmt::format("{} claims a header of {} bytes but has {} after the first 8; "
                                    "it may be truncated",
                                    path, length, size - 8));
  }
  std::string text(length, '\0');
  read_exactly(descriptor, text.data(), static_cast<int64_t>(length), 8, path);
  file.data_begin_ = 8 + static_cast<int64_t>(length);
  SafetensorsHeader header = parse_safetensors_header(text, size - file.data_begin_, path);
  file.metadata_ = std::move(header.metadata);
  file.entries_ = std::move(header.entries);
  for (size_t i = 0; i < file.entries_.size(); ++i) file.index_[file.entries_[i].name] = i;
  file.verify(std::move(text));
  return file;
}

void SafetensorsFile::verify(std::string header) const {
  const auto stored = metadata_.find(kChecksumKey);
  if (stored == metadata_.end()) {
    const auto version = metadata_.find(kVersionKey);
    if (version == metadata_.end() || version->second == kVersionWithoutChecksums) return;
    fail("safetensors", fmt::format("{} has no checksum, but version {} writes one into every "
                                    "file; the file is damaged, or another program changed it; {}",
                                    path_, in_quotes(version->second), kHowToAccept));
  }
  if (const size_t at = find_checksum(header); at != std::string::npos)
    header.replace(at, kChecksum.size(), kChecksum);
  Hasher hasher;
  hasher.update(header);
  std::string piece(size_t{1} << 20, '\0');
  int64_t end = 0;
  for (const SafetensorsEntry& entry : entries_) end = std::max(end, entry.end);
  for (int64_t done = 0; done < end;) {
    const int64_t bytes = std::min(end - done, static_cast<int64_t>(piece.size()));
    read_exactly(file_->number, piece.data(), bytes, data_begin_ + done, path_);
    hasher.update(piece.data(), static_cast<size_t>(bytes));
    done += bytes;
  }
  if (checksum_text(hasher) == stored->second) return;
  fail("safetensors", fmt::format("{} is damaged: its contents do not match its checksum. If "
                                  "another program changed it on purpose, {}",
                                  path_, kHowToAccept));
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

const SafetensorsEntry& SafetensorsFile::entry(std::string_view name) const {
  if (const SafetensorsEntry* found = find(name)) return *found;
  std::string held;
  for (size_t i = 0; i < std::min<size_t>(entries_.size(), 5); ++i) {
    held += std::string(i ? ", " : "") + in_quotes(entries_[i].name);
  }
  if (entries_.size() > 5) held += fmt::format(" and {} more", entries_.size() - 5);
  fail("safetensors", fmt::format("{} has no tensor {}; it holds {}", path_, in_quotes(name),
                                  held.empty() ? "none" : held));
}

std::vector<double> SafetensorsFile::read_doubles(std::string_view name) const {
  const SafetensorsEntry& entry = this->entry(name);
  if (entry.dtype != "F64") {
    const Tensor read = this->read(name);
    return {read.f32(), read.f32() + read.elements()};
  }
  std::vector<double> values(static_cast<size_t>(entry.shape.elements()));
  read_converted<double>(file_->number, values.data(), static_cast<int64_t>(values.size()),
                         data_begin_ + entry.begin, path_, [](double value) { return value; });
  return values;
}

Tensor SafetensorsFile::read(std::string_view name, Layout layout) const {
  const SafetensorsEntry* entry = &this->entry(name);
  try {
    from_pytorch(entry->shape, layout);
  } catch (const Error& error) {
    fail("safetensors", fmt::format("{}: tensor {}: {}", path_, in_quotes(name), error.what()));
  }
  Tensor tensor(entry->shape);
  float* to = tensor.f32();
  const int64_t count = tensor.elements();
  const int64_t at = data_begin_ + entry->begin;
  const int from = file_->number;
  const auto plain = [](auto value) { return static_cast<float>(value); };
  if (entry->dtype == "F32") {
    read_exactly(from, to, count * 4, at, path_);
  } else if (entry->dtype == "F64") {
    read_converted<double>(from, to, count, at, path_, plain);
  } else if (entry->dtype == "I64") {
    read_converted<int64_t>(from, to, count, at, path_, plain);
  } else if (entry->dtype == "I32") {
    read_converted<int32_t>(from, to, count, at, path_, plain);
  } else if (entry->dtype == "F16") {
    read_converted<uint16_t>(from, to, count, at, path_, from_float16);
  } else if (entry->dtype == "BF16") {
    read_converted<uint16_t>(from, to, count, at, path_, from_bfloat16);
  } else {
    fail("safetensors",
         fmt::format("{}: tensor {} has the type {}; F32, F16, BF16, F64, I32 and I64 can be read",
                     path_, in_quotes(name), entry->dtype));
  }
  return from_pytorch(tensor, layout);
}

void SafetensorsWriter::set_metadata(std::string name, std::string value) {
  if (find_invalid_utf8(name) != std::string::npos ||
      find_invalid_utf8(value) != std::string::npos) {
    fail("safetensors", fmt::format("the metadata {} is not UTF-8", in_quotes(name)));
  }
  metadata_[std::move(name)] = std::move(value);
}

void SafetensorsWriter::add_item(std::string name, Item item) {
  if (name == "__metadata__") fail("safetensors", "no tensor may be called \"__metadata__\"");
  if (find_invalid_utf8(name) != std::string::npos) {
    fail("safetensors", fmt::format("the tensor name {} is not UTF-8", in_quotes(name)));
  }
  if (items_.contains(name)) {
    fail("safetensors", fmt::format("tensor {} was added twice", in_quotes(name)));
  }
  names_.push_back(name);
  items_.emplace(std::move(name), std::move(item));
}

void SafetensorsWriter::add(std::string name, Tensor tensor, Layout layout) {
  // These calls throw for another type and for a rank that does not fit.
  if (!fetch_ || tensor.memory().holds_values()) tensor.f32();
  Shape shape = to_pytorch(tensor.shape(), layout);
  add_item(std::move(name), {.tensor = std::move(tensor), .layout = layout, .shape = shape});
}

void SafetensorsWriter::add_doubles(std::string name, const Shape& shape,
                                    std::vector<double> values) {
  if (shape.elements() != std::ssize(values)) {
    fail("safetensors", fmt::format("{} values for tensor {} of the shape {}", values.size(),
                                    in_quotes(name), shape.str()));
  }
  const bool exact = std::all_of(values.begin(), values.end(), [](double value) {
    return double{static_cast<float>(value)} == value;
  });
  if (!exact) {
    add_item(std::move(name), {.shape = shape, .doubles = std::move(values)});
    return;
  }
  Tensor tensor(shape);
  std::transform(values.begin(), values.end(), tensor.f32(),
                 [](double value) { return static_cast<float>(value); });
  add(std::move(name), std::move(tensor));
}

std::string SafetensorsWriter::header() const {
  const auto json = [](const std::string& text) { return nlohmann::json(text).dump(); };
  SafetensorsMetadata metadata = metadata_;
  metadata[kChecksumKey] = kChecksum;
  std::string text = "{\"__metadata__\":" + nlohmann::json(metadata).dump();
  int64_t offset = 0;
  for (const std::string& name : names_) {
    const Item& item = items_.find(name)->second;
    text += fmt::format(R"(,{}:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", json(name),
                        item.dtype(), item.shape.str(), offset, offset + item.bytes());
    offset += item.bytes();
  }
  text += "}";
  // Padding, so that the data starts at a multiple of 8.
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

void SafetensorsWriter::write(const std::string& path) const {
  AtomicFile file(path);
  write(file);
}

void SafetensorsWriter::write(AtomicFile& file) const {
  const std::string text = header();
  if (text.size() > kMaxSafetensorsHeader) {
    fail("safetensors", fmt::format("{} would need a header of {} bytes; {} are allowed",
                                    file.path(), text.size(), kMaxSafetensorsHeader));
  }
  const uint64_t length = text.size();
  file.write(&length, sizeof length);
  file.write(text);
  Hasher hasher;
  hasher.update(text);
  const auto put = [&](const void* data, int64_t bytes) {
    file.write(data, static_cast<size_t>(bytes));
    hasher.update(data, static_cast<size_t>(bytes));
  };
  for (const std::string& name : names_) {
    const Item& item = items_.find(name)->second;
    if (item.tensor.defined())
      put(to_pytorch(fetch_ ? fetch_(item.tensor) : item.tensor, item.layout).f32(), item.bytes());
    else
      put(item.doubles.data(), item.bytes());
  }
  file.overwrite(static_cast<int64_t>(sizeof length + find_checksum(text)), checksum_text(hasher));
  file.commit();
}

}  // namespace ddpm
