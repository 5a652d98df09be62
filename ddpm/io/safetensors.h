// Reads and writes safetensors files (https://huggingface.co/docs/safetensors): eight bytes of
// little-endian header length, a JSON header, then the tensors' bytes end to end. Headers are
// checked whole before anything is believed, so that a damaged or hostile file is an Error that
// names what is wrong with it, whatever its bytes.
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

// The checksum over header and data that the writer leaves in the metadata (base/hash.h).
inline constexpr char kChecksumKey[] = "ddpm.checksum";
// The version of this program that wrote a file, where it says so.
inline constexpr char kVersionKey[] = "ddpm.version";

// An open file. Tensors are read when asked for, one at a time, straight into their storage.
// Copies share the open file; reading is safe from several threads.
class SafetensorsFile {
 public:
  // Throws Error, naming the path and what is wrong, for anything but a sound file, and SystemError
  // where the system cannot read it. A file with a checksum is read whole once to verify it; files
  // of other programs and of version 0.1.0 have none.
  static SafetensorsFile open(const std::string& path);

  const std::string& path() const { return path_; }
  const SafetensorsMetadata& metadata() const { return metadata_; }
  // In the order of the header.
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  // Null where there is no such tensor.
  const SafetensorsEntry* find(std::string_view name) const;

  // The tensor as float32, its axes translated from PyTorch's order. F16, BF16, F64, I32 and I64
  // are converted, rounding to nearest. Throws Error naming the tensor for other types, for a name
  // that is absent, for a rank that does not fit the layout, and where the file has lost its end
  // since it was opened.
  Tensor read(std::string_view name, Layout layout = Layout::kAsIs) const;

 private:
  struct Descriptor;
  void verify(std::string header) const;

  std::string path_;
  std::shared_ptr<const Descriptor> file_;
  int64_t data_begin_ = 0;  // where the data starts in the file
  SafetensorsMetadata metadata_;
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, size_t, std::less<>> index_;
};

// Collects tensors, then writes them in the order they were added. A tensor's storage is shared
// until write(), which translates one at a time.
class SafetensorsWriter {
 public:
  void set_metadata(std::string name, std::string value);
  // float32 in our order of axes; the file gets PyTorch's. Throws Error for another type, a name
  // that was added before or that the format reserves, and a rank that does not fit the layout.
  void add(std::string name, Tensor tensor, Layout layout = Layout::kAsIs);
  // Appears under the path whole or not at all, the old file intact, with a checksum of its bytes
  // in the metadata; throws Error on any failure.
  void write(const std::string& path) const;
  // The same to a file that was opened before.
  void write(AtomicFile& file) const;

 private:
  struct Item {
    Tensor tensor;
    Layout layout;
  };
  std::string header() const;

  SafetensorsMetadata metadata_;
  std::vector<std::string> names_;  // in the order they were added
  std::map<std::string, Item, std::less<>> items_;
};

}  // namespace ddpm
