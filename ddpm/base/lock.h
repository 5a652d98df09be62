// One process at a time works in a folder.
#pragma once

#include <string>

namespace ddpm {

// Holds FOLDER/.lock (flock) while it lives. The lock ends with the process, however that ends; the
// file is removed by the destructor, or by the next holder where the process was killed.
class FolderLock {
 public:
  // Throws UsageError that names the holder where another process has the lock, SystemError where
  // the lock cannot be made.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  // What the destructor does, but throws SystemError where the file cannot be removed.
  void release();

 private:
  bool take();
  void write_holder();

  std::string folder_;
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace ddpm
