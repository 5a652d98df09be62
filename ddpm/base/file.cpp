#include "ddpm/base/file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

[[noreturn]] void fail_file(const char* doing, const std::string& path, int error) {
  std::string advice;
  if (error == ENOSPC || error == EDQUOT)
    advice = "; free some space and run again, nothing earlier was lost";
  if (error == EACCES || error == EPERM || error == EROFS)
    advice = "; choose a place you may write to";
  fail("file", fmt::format("cannot {} {}: {}{}", doing, path, std::strerror(error), advice));
}

std::string folder_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

std::string read_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) fail_file("read", path, EISDIR);
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) fail_file("read", path, errno);
  std::string contents;
  char buffer[1 << 16];
  size_t got;
  while ((got = std::fread(buffer, 1, sizeof buffer, file)) > 0) contents.append(buffer, got);
  const int failed = std::ferror(file) ? errno : 0;
  std::fclose(file);
  if (failed) fail_file("read", path, failed);
  return contents;
}

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), temporary_(fmt::format("{}.{}.tmp", path_, getpid())) {
  descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_file("write", path_, errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, next, std::min<size_t>(bytes, size_t{1} << 30));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_file("write", path_, errno);
    }
    next += written;
    bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (fsync(descriptor_) != 0) fail_file("sync", path_, errno);
  const int closed = close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail_file("close", path_, errno);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) fail_file("rename to", path_, errno);
  temporary_.clear();
  const int folder = open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) fail_file("open the folder of", path_, errno);
  const int synced = fsync(folder) == 0 ? 0 : errno;
  close(folder);
  // Some file systems cannot sync a folder; the rename has happened all the same.
  if (synced != 0 && synced != EINVAL) fail_file("sync the folder of", path_, synced);
}

void write_file_atomic(const std::string& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail_file("create the folder", path, error.value());
  if (!std::filesystem::is_directory(path, error)) fail_file("create the folder", path, ENOTDIR);
}

}  // namespace ddpm
