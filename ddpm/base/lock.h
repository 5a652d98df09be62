// A lock on a folder, so that only one process at a time works in it.
#pragma once

#include <string>

namespace ddpm {

// Holds a lock (flock) on FOLDER/.lock as long as the object exists. The lock ends with the
// process, even if that is killed. The destructor removes the file. Where the process was killed,
// the next holder takes the file over and removes it.
class FolderLock {
 public:
  // Throws UsageError naming the holder where another process has the lock, and SystemError where
  // the file cannot be made or locked.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  // Does what the destructor does, and throws SystemError where the file cannot be removed.
  void release();

 private:
  bool take();
  void write_holder() const;

  std::string folder_;
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace ddpm
