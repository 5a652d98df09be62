// How sources look at the file system. Every failure throws SystemError. One that is_transient()
// says nothing about the file: it must end the loading. Others are about one file, which may be
// skipped and named. Not for other rooms.
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

// What stands behind the last slash.
std::string base_name(std::string_view path);

// At most the first `bytes` bytes of a regular file.
std::string read_start(const std::string& path, size_t bytes);

// Why a file is left out, without its path: "cannot be read: Permission denied". Throws the error
// again where it says nothing about the file. To be called where the error was caught.
std::string reason_to_skip(const Error& error);

// Is it a folder that a training writes? Its pictures are samples, so it is never a source.
bool is_run_directory(const std::string& path);

// Reads whole files and tells their hashes. Thread-safe.
class FileReader {
 public:
  // known: files whose hashes hold as long as name, size and time are the same; may be null.
  explicit FileReader(const DataFingerprint* known);

  struct Contents {
    std::string bytes;
    SourceFile file;
  };
  // name: what the fingerprint calls the file. Throws Error where it is larger than `most_bytes`.
  Contents read(const std::string& path, const std::string& name, int64_t most_bytes) const;

 private:
  std::unordered_map<std::string, SourceFile> known_;
};

}  // namespace ddpm
