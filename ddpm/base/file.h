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

// Returns the whole contents. Throws SystemError naming the path and the system's reason, and Error
// if the file has more than `limit` bytes.
std::string read_file(const std::string& path,
                      uint64_t limit = std::numeric_limits<uint64_t>::max());

// The checksum (base/hash.h) of the contents, which are read in pieces. Throws SystemError.
std::string hash_of_file(const std::string& path);

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

// The same for an open file. The path is used in error messages.
FileStatus file_status(int descriptor, const std::string& path);

// As file_status(path), but returns nullopt if there is no such file.
std::optional<FileStatus> find_file(const std::string& path);

// True if something with that name exists. Throws SystemError if the system cannot tell, for
// instance because a folder of the path may not be entered.
bool exists(const std::string& path);

// True for a symbolic link, also for one that leads nowhere. False if it cannot be looked at.
bool is_link(const std::string& path);

// The path with symbolic links at its end resolved. The result need not exist. Throws SystemError
// if the links form a circle.
std::string follow_links(const std::string& path);

// The names in a folder, sorted, without "." and "..". Throws SystemError.
std::vector<std::string> list_names(const std::string& folder);

// Writes a new file, or a new version of an existing one. Everything goes to a temporary file.
// commit() syncs it, renames it to its final name and syncs the folder. Without commit() the
// destructor removes the temporary file, and an old file of that name stays as it was.
//
// The constructor creates the temporary file at once, in the target's folder. A program that
// creates an AtomicFile before a long computation therefore knows early whether it can write the
// result. Symbolic links are followed and kept, unless the options say so. The new file gets the
// mode of the file that it replaces and, if the system allows it, its owner. A device or a pipe is
// written directly. Throws SystemError on any failure, for instance when the disk is full or the
// path is a folder.
struct AtomicFileOptions {
  // Without it commit() does not wait for the disk. The file is then whole for every program, but
  // it may be lost or cut off if the computer itself fails in the seconds after.
  bool sync = true;
  // Without it a symbolic link of that name is replaced, and what it leads to stays.
  bool follow_links = true;
};
class AtomicFile {
 public:
  explicit AtomicFile(std::string path, AtomicFileOptions options = {});
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

  AtomicFileOptions options_;
  // The path as the caller gave it, for error messages.
  std::string path_;
  // The path with symbolic links resolved.
  std::string target_;
  // Empty if the target is written directly.
  std::string temporary_;
  int descriptor_ = -1;
  // The index in the table of temporary files, or -1.
  int slot_ = -1;
};

// Writes an AtomicFile in one call.
void write_file_atomic(const std::string& path, std::string_view contents,
                       AtomicFileOptions options = {});

// Removes the temporary files of AtomicFile that killed processes left in the folder. Files that a
// running process writes are kept. Throws SystemError if a file cannot be removed.
void remove_abandoned_files(const std::string& folder);

// Removes the temporary files that this process is writing. A signal handler may call it before the
// process ends: it takes no lock and allocates nothing.
void remove_own_temporaries() noexcept;

// Throws SystemError if the file cannot be removed. A file that is not there is no error.
void remove_file(const std::string& path);

// Creates the folder and its parents. Throws SystemError if that fails or a file has that name.
void make_folder(const std::string& path);

// As make_folder(). Unless keep() was called, the destructor removes those new folders that are
// empty, so that failed work leaves no empty folders.
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
