// How sources read the file system. Every failure throws SystemError. If is_transient() is true for
// its code, the failure is not the fault of the file and must stop the loading. Otherwise the file
// may be skipped and reported. Private to data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/fingerprint.h"

namespace ddpm {

std::string join_path(std::string_view folder, std::string_view name);

// The part after the last slash.
std::string base_name(std::string_view path);

// At most the first `bytes` bytes of a regular file.
std::string read_start(const std::string& path, size_t bytes);

// Why a file is skipped, without its path: "cannot be read: Permission denied". Rethrows the error
// if it is not the fault of the file. Call it only in the catch block of that error.
std::string reason_to_skip(const Error& error);

// Whether the path is the directory of a training run. Its pictures are samples, so it is never a
// source.
bool is_run_directory(const std::string& path);

// Reads whole files and computes their hashes. Thread-safe.
class FileReader {
 public:
  // known: the fingerprint of an earlier loading, or null. A file with the same name, size and time
  // keeps its hash.
  explicit FileReader(const DataFingerprint* known);

  struct Contents {
    std::string bytes;
    SourceFile file;
  };
  // name: the file's name in the fingerprint. Throws Error if the file is larger than `most_bytes`.
  Contents read(const std::string& path, const std::string& name, int64_t most_bytes) const;
  // A file of this name, time and contents.
  SourceFile describe(const std::string& name, int64_t modified_ns, std::string_view bytes) const;

 private:
  std::unordered_map<std::string, SourceFile> known_;
};

}  // namespace ddpm
