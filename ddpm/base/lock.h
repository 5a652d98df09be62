// A lock on a folder, so that only one process at a time works in it.
#pragma once

#include <string>

namespace ddpm {

// Holds a lock (flock) on FOLDER/.lock as long as the object exists. The lock ends with the
// process, even if the process is killed. The destructor removes the file. If the process was
// killed, the next holder of the lock uses the same file and removes it.
class FolderLock {
 public:
  // Throws UsageError naming the holder if another process has the lock, and SystemError if the
  // file cannot be created or locked.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  // Does what the destructor does, and throws SystemError if the file cannot be removed.
  void release();

 private:
  bool take();
  void write_holder() const;

  std::string folder_;
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace ddpm
