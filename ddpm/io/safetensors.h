// Reads and writes safetensors files (https://huggingface.co/docs/safetensors): eight bytes with
// the length of the header (little-endian), a JSON header, then the bytes of the tensors one after
// the other. The whole header is checked before it is used, so that any damaged or hostile file is
// an Error that names what is wrong with it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/io/layout.h"
#include "ddpm/io/safetensors_entry.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

class AtomicFile;

// The key in the metadata of the checksum over header and data (base/hash.h).
inline constexpr char kChecksumKey[] = "ddpm.checksum";
// The key in the metadata of the version of this program that wrote the file.
inline constexpr char kVersionKey[] = "ddpm.version";

// An open file. A tensor is read when it is asked for, directly into its storage. Copies share the
// open file. Reading is safe from several threads.
class SafetensorsFile {
 public:
  // Throws Error naming the path and what is wrong where the file is not valid, and SystemError
  // where the system cannot read it. A file with a checksum is read once as a whole to verify it.
  // Files of other programs and of version 0.1.0 have none.
  static SafetensorsFile open(const std::string& path);

  const std::string& path() const { return path_; }
  const SafetensorsMetadata& metadata() const { return metadata_; }
  // In the order of the header.
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  // Null where there is no such tensor.
  const SafetensorsEntry* find(std::string_view name) const;

  // The tensor as float32 in our order of axes. F16, BF16, F64, I32 and I64 are converted and
  // rounded to nearest. Throws Error naming the tensor for another type, for a name that is absent,
  // for a rank that does not fit the layout, and where the file has become shorter since it was
  // opened.
  Tensor read(std::string_view name, Layout layout = Layout::kAsIs) const;

 private:
  struct Descriptor;
  void verify(std::string header) const;

  std::string path_;
  std::shared_ptr<const Descriptor> file_;
  // Where the data starts in the file.
  int64_t data_begin_ = 0;
  SafetensorsMetadata metadata_;
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, size_t, std::less<>> index_;
};

// Collects tensors and then writes them in the order in which they were added. The tensors share
// storage with the caller's until write(), which converts one at a time.
class SafetensorsWriter {
 public:
  void set_metadata(std::string name, std::string value);
  // The tensor is float32 in our order of axes and is written in PyTorch's. Throws Error for
  // another type, for a name that was added before or that the format reserves, and for a rank that
  // does not fit the layout.
  void add(std::string name, Tensor tensor, Layout layout = Layout::kAsIs);
  // Writes the file whole or not at all (AtomicFile), with a checksum of its bytes in the metadata.
  // Throws Error on any failure; an old file then stays as it was.
  void write(const std::string& path) const;
  // The same into a file that is open already.
  void write(AtomicFile& file) const;

 private:
  struct Item {
    Tensor tensor;
    Layout layout;
  };
  std::string header() const;

  SafetensorsMetadata metadata_;
  // In the order in which they were added.
  std::vector<std::string> names_;
  std::map<std::string, Item, std::less<>> items_;
};

}  // namespace ddpm
