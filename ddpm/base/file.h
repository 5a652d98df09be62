// Files whose contents are never half there: written aside, synced, then renamed.
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
  int64_t modified_ns = 0;                 // since 1970; wraps around after 2262
  std::pair<uint64_t, uint64_t> identity;  // the same for every path that leads here
};

// Follows symbolic links. Throws SystemError.
FileStatus file_status(const std::string& path);

// Of an open file; path: for messages.
FileStatus file_status(int descriptor, const std::string& path);

// As file_status(path), but nothing where no such file is there.
std::optional<FileStatus> find_file(const std::string& path);

// True where something of that name is there. Throws SystemError where that cannot be told, for
// instance because a folder on the way may not be entered.
bool exists(const std::string& path);

// Where symbolic links at the end of the path lead; that need not exist. Throws SystemError for
// links that run in a circle.
std::string follow_links(const std::string& path);

// The names in a folder, sorted, without "." and "..". Throws SystemError.
std::vector<std::string> list_names(const std::string& folder);

// A new file, or a new version of one. It is written aside and appears under its name, whole, with
// commit(): sync of the file, rename, sync of the folder. Without commit() the destructor removes
// what was written, so that the old file, if any, stays as it was.
//
// The constructor makes the temporary file at once, in the target's folder: a program that makes
// it before a long piece of work knows that the result can be written. Symbolic links are followed
// and stay; a file that is there keeps its mode and, where the system allows it, its owner; a
// device or a pipe is written directly. Throws SystemError on any failure, a full disk and a folder
// in the way included.
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

  std::string path_;       // as it was given, for messages
  std::string target_;     // where symbolic links lead
  std::string temporary_;  // empty where the target is written directly
  int descriptor_ = -1;
  int slot_ = -1;  // in the table of temporary files
};

// AtomicFile in one call.
void write_file_atomic(const std::string& path, std::string_view contents);

// Removes temporary files of AtomicFile in the folder whose writers have died. Files that a living
// process writes are kept. Throws SystemError where that fails.
void remove_abandoned_files(const std::string& folder);

// Removes the temporary files that this process is writing, as its last act: meant for handlers of
// signals, so it takes no lock and allocates nothing.
void remove_own_temporaries() noexcept;

// Throws SystemError where the file is still there afterwards.
void remove_file(const std::string& path);

// Creates the folder and its parents; throws SystemError where that fails or a file stands in the
// way.
void make_folder(const std::string& path);

// make_folder(), but unless keep() is called the destructor removes the folders that were made and
// are empty, so that work that fails leaves none behind.
class NewFolder {
 public:
  explicit NewFolder(const std::string& path);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  void keep() { made_.clear(); }

 private:
  void remove();

  std::vector<std::string> made_;  // innermost first
};

}  // namespace ddpm
