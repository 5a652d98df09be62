// Files whose contents are never half there: written aside, synced, then renamed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ddpm {

// Whole contents; throws Error naming the path and the system's reason.
std::string read_file(const std::string& path);

// Appends to an open file or writes a new one beside its destination; commit() makes it appear
// atomically under its name (fsync of the file, rename, fsync of the folder). Without commit() the
// destructor removes what was written, so the old file, if any, stays intact. Throws Error on any
// failure, a full disk included.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
};

// AtomicFile in one call.
void write_file_atomic(const std::string& path, std::string_view contents);

// Creates the folder and its parents; throws Error where that fails or a file stands in the way.
void make_folder(const std::string& path);

}  // namespace ddpm
