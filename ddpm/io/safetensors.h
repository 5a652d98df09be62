// Reads and writes safetensors files (https://huggingface.co/docs/safetensors). A file has eight
// bytes with the length of the header (little-endian), a JSON header, and then the bytes of the
// tensors one after the other. The whole header is checked before it is used. A damaged or hostile
// file therefore gives an Error that says what is wrong with it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ddpm/io/layout.h"
#include "ddpm/io/safetensors_entry.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

class AtomicFile;

// The metadata key of the checksum over header and data (base/hash.h).
inline constexpr char kChecksumKey[] = "ddpm.checksum";
// The metadata key of the version of this program that wrote the file.
inline constexpr char kVersionKey[] = "ddpm.version";

// An open file. read() reads a tensor from the file directly into its storage. Copies of this
// object share the open file. Several threads may read at the same time.
class SafetensorsFile {
 public:
  // Throws Error naming the path and the fault if the file is not valid, and SystemError if the
  // system cannot read it. A file with a checksum is read once as a whole to verify it. Files of
  // other programs and of version 0.1.0 have no checksum.
  static SafetensorsFile open(const std::string& path);

  const std::string& path() const { return path_; }
  const SafetensorsMetadata& metadata() const { return metadata_; }
  // In the order of the header.
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  // Null if there is no such tensor.
  const SafetensorsEntry* find(std::string_view name) const;
  // As find(), but throws Error naming what the file holds.
  const SafetensorsEntry& entry(std::string_view name) const;

  // Returns the tensor as float32 in our order of axes. F16, BF16, F64, I32 and I64 are converted
  // and rounded to nearest. Throws Error naming the tensor if its type is another, if the name does
  // not exist, if the rank does not fit the layout, or if the file has become shorter since it was
  // opened.
  Tensor read(std::string_view name, Layout layout = Layout::kAsIs) const;
  // The elements in the order of the file. F64 keeps all its digits; other types are read as by
  // read(). Throws as that does.
  std::vector<double> read_doubles(std::string_view name) const;

 private:
  struct Descriptor;
  void verify(std::string header) const;

  std::string path_;
  std::shared_ptr<const Descriptor> file_;
  // The position in the file at which the data starts.
  int64_t data_begin_ = 0;
  SafetensorsMetadata metadata_;
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, size_t, std::less<>> index_;
};

// Collects tensors and then writes them in the order in which they were added. Until write(), the
// tensors share storage with those of the caller. write() converts one tensor at a time.
class SafetensorsWriter {
 public:
  void set_metadata(std::string name, std::string value);
  // The tensor is float32 in our order of axes. The file gets PyTorch's order. Throws Error for
  // another type, for a name that was added before or that the format reserves, and for a rank that
  // does not fit the layout.
  void add(std::string name, Tensor tensor, Layout layout = Layout::kAsIs);
  // Numbers in the order of the file, as F64, or as F32 if that keeps all of them exactly. Throws
  // as add(), and if their number does not fit the shape.
  void add_doubles(std::string name, const Shape& shape, std::vector<double> values);
  // Gives the values of tensors that have none here, while they are written.
  void fetch_with(std::function<Tensor(const Tensor&)> fetch) { fetch_ = std::move(fetch); }
  // Writes the whole file or nothing (AtomicFile), with a checksum of its bytes in the metadata.
  // Throws Error on any failure. An old file then stays as it was.
  void write(const std::string& path) const;
  // The same, into a file that is already open.
  void write(AtomicFile& file) const;

 private:
  // A tensor, or doubles in its place.
  struct Item {
    Tensor tensor;
    Layout layout = Layout::kAsIs;
    Shape shape = {};  // in the file
    std::vector<double> doubles = {};

    const char* dtype() const { return tensor.defined() ? "F32" : "F64"; }
    int64_t bytes() const { return shape.elements() * (tensor.defined() ? 4 : 8); }
  };
  void add_item(std::string name, Item item);
  std::string header() const;

  SafetensorsMetadata metadata_;
  std::function<Tensor(const Tensor&)> fetch_;
  // In the order in which they were added.
  std::vector<std::string> names_;
  std::map<std::string, Item, std::less<>> items_;
};

}  // namespace ddpm
