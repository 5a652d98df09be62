// Reading, listing and writing files. A file is never left half written: its contents go to a
// temporary file, which is synced and then renamed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ddpm {

// The whole contents. Throws SystemError naming the path and the system's reason, and Error where
// the file holds more than `limit` bytes.
std::string read_file(const std::string& path,
                      uint64_t limit = std::numeric_limits<uint64_t>::max());

enum class FileType { kRegular, kFolder, kOther };

struct FileStatus {
  FileType type = FileType::kOther;
  int64_t bytes = 0;
  // Nanoseconds since 1970; wraps around after 2262.
  int64_t modified_ns = 0;
  // Device and inode: the same for every path to this file.
  std::pair<uint64_t, uint64_t> identity;
};

// Follows symbolic links. Throws SystemError.
FileStatus file_status(const std::string& path);

// The same of an open file. The path is for messages.
FileStatus file_status(int descriptor, const std::string& path);

// As file_status(path), but nullopt where there is no such file.
std::optional<FileStatus> find_file(const std::string& path);

// True where something has that name. Throws SystemError where the system does not tell, for
// instance because a folder of the path may not be entered.
bool exists(const std::string& path);

// The path with symbolic links at its end resolved. The result need not exist. Throws SystemError
// for links that form a circle.
std::string follow_links(const std::string& path);

// The names in a folder, sorted, without "." and "..". Throws SystemError.
std::vector<std::string> list_names(const std::string& folder);

// A new file, or a new version of one. Everything is written to a temporary file. commit() syncs
// it, renames it to its final name and syncs the folder. Without commit() the destructor removes
// the temporary file, and an old file of that name stays as it was.
//
// The constructor makes the temporary file at once, in the target's folder. A program that makes an
// AtomicFile before a long piece of work so knows that the result can be written. Symbolic links
// are followed and kept. A file that is replaced passes on its mode and, where the system allows
// it, its owner. A device or a pipe is written directly. Throws SystemError on any failure, for
// instance when the disk is full or the path is a folder.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  // Replaces bytes that were written before; not for devices and pipes.
  void overwrite(int64_t position, std::string_view bytes);
  void commit();

  const std::string& path() const { return path_; }

 private:
  void open_temporary();
  void open_directly();

  // As it was given, for messages.
  std::string path_;
  // The path with symbolic links resolved.
  std::string target_;
  // Empty where the target is written directly.
  std::string temporary_;
  int descriptor_ = -1;
  // The place in the table of temporary files.
  int slot_ = -1;
};

// AtomicFile in one call.
void write_file_atomic(const std::string& path, std::string_view contents);

// Removes temporary files of AtomicFile in the folder whose writers have ended without removing
// them. Files that a running process writes are kept. Throws SystemError where that fails.
void remove_abandoned_files(const std::string& folder);

// Removes the temporary files that this process is writing. A signal handler may call it before the
// process ends: it takes no lock and allocates nothing.
void remove_own_temporaries() noexcept;

// Throws SystemError where the file cannot be removed. A file that is not there is no error.
void remove_file(const std::string& path);

// Creates the folder and its parents; throws SystemError where that fails or a file stands in the
// way.
void make_folder(const std::string& path);

// As make_folder(). Unless keep() was called, the destructor removes those of the new folders that
// are empty, so that work that fails leaves no empty folders.
class NewFolder {
 public:
  explicit NewFolder(const std::string& path);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  void keep() { made_.clear(); }

 private:
  void remove();

  // The new folders, innermost first.
  std::vector<std::string> made_;
};

}  // namespace ddpm
