// A temporary file is named .ddpm-<random>.tmp. That is short, however long the target's name is.
// The process that writes it holds a lock on it (flock), which ends with the process. A file
// without a lock therefore belongs to a process that was killed.
#include "ddpm/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>
#include <system_error>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "ddpm/base/retry.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = ".ddpm-", kSuffix = ".tmp";

[[noreturn]] void fail_file(const std::string& doing, const std::string& path, int error,
                            const char* advice = "") {
  fail_system("file", fmt::format("cannot {} {}: {}{}", doing, path, std::strerror(error), advice),
              error);
}

[[noreturn]] void fail_write(const std::string& doing, const std::string& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT;
  const bool forbidden = error == EACCES || error == EPERM || error == EROFS;
  fail_file(doing, path, error,
            full             ? "; free some space, nothing earlier was lost"
            : forbidden      ? "; choose a place you may write to"
            : error == EFBIG ? "; the limit on the size of files (ulimit -f) is too low for it"
                             : "");
}

std::string folder_of(const std::string& path) {
  const auto parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

std::string temporary_name() {
  uint64_t random = 0;
  if (retry([&] { return getrandom(&random, sizeof random, 0); }) != sizeof random)
    // Good enough: O_EXCL detects a name that is taken, and then another one is tried.
    random = static_cast<uint64_t>(getpid());
  return fmt::format("{}{:012x}{}", kPrefix, random & 0xFFFF'FFFF'FFFF, kSuffix);
}

// In a sticky folder, such as /tmp, only the owner of the file or of the folder may replace it.
bool may_replace(const std::string& path, const struct stat& file) {
  struct stat folder {};
  const uid_t user = geteuid();
  return retry([&] { return stat(folder_of(path).c_str(), &folder); }) != 0 ||
         (folder.st_mode & S_ISVTX) == 0 || user == 0 || user == file.st_uid ||
         user == folder.st_uid;
}

// The temporary files of this process, in a table that a signal handler can read. If the table is
// full, the file of a killed process stays until remove_abandoned_files() removes it.
struct Slot {
  enum State : int { kFree, kChanging, kInUse };
  std::atomic<int> state{kFree};
  char path[4096] = {};
};
Slot slots[16];
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler reads the state");

int take_slot(const std::string& path) {
  for (size_t i = 0; i < std::size(slots) && path.size() < sizeof slots[i].path; ++i) {
    int expected = Slot::kFree;
    if (!slots[i].state.compare_exchange_strong(expected, Slot::kChanging)) continue;
    std::memcpy(slots[i].path, path.c_str(), path.size() + 1);
    slots[i].state = Slot::kInUse;
    return static_cast<int>(i);
  }
  return -1;
}

void free_slot(int slot) {
  if (slot >= 0) slots[slot].state = Slot::kFree;
}

FileStatus to_status(const struct stat& status) {
  FileStatus result;
  if (S_ISREG(status.st_mode)) result.type = FileType::kRegular;
  if (S_ISDIR(status.st_mode)) result.type = FileType::kFolder;
  result.bytes = status.st_size;
  // Computed in unsigned numbers, because times after 2262 overflow. The result is only compared.
  result.modified_ns =
      static_cast<int64_t>(static_cast<uint64_t>(status.st_mtim.tv_sec) * 1'000'000'000 +
                           static_cast<uint64_t>(status.st_mtim.tv_nsec));
  result.identity = {status.st_dev, status.st_ino};
  return result;
}

}  // namespace

std::string follow_links(const std::string& path) {
  // The limit of the kernel.
  constexpr int kMostLinks = 40;
  fs::path target = path;
  for (int i = 0; i < kMostLinks; ++i) {
    std::error_code error;
    const fs::path next = fs::read_symlink(target, error);
    // `target` is not a link, or does not exist.
    if (error) return target.string();
    target = next.is_absolute() ? next : target.parent_path() / next;
  }
  fail_write("write", path, ELOOP);
}

std::string read_file(const std::string& path, uint64_t limit) {
  const int descriptor = retry([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (descriptor < 0) fail_file("read", path, errno);
  std::string contents;
  ssize_t got = 0;
  for (size_t piece = size_t{1} << 16;; piece = std::min(2 * piece, size_t{1} << 24)) {
    const size_t before = contents.size();
    contents.resize(before + piece);
    got = retry([&] { return read(descriptor, contents.data() + before, piece); });
    contents.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got <= 0 || contents.size() > limit) break;
  }
  const int failed = got < 0 ? errno : 0;
  close(descriptor);
  if (failed != 0) fail_file("read", path, failed);
  if (contents.size() > limit)
    fail("file", fmt::format("{} has more than {} bytes, the most that is read", path, limit));
  return contents;
}

std::string hash_of_file(const std::string& path) {
  const int descriptor = retry([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (descriptor < 0) fail_file("read", path, errno);
  Hasher hasher;
  std::vector<char> piece(size_t{1} << 20);
  ssize_t got = 0;
  while ((got = retry([&] { return read(descriptor, piece.data(), piece.size()); })) > 0)
    hasher.update(piece.data(), static_cast<size_t>(got));
  const int failed = got < 0 ? errno : 0;
  close(descriptor);
  if (failed != 0) fail_file("read", path, failed);
  return hasher.hex();
}

FileStatus file_status(const std::string& path) {
  struct stat status {};
  if (retry([&] { return stat(path.c_str(), &status); }) != 0) fail_file("look at", path, errno);
  return to_status(status);
}

FileStatus file_status(int descriptor, const std::string& path) {
  struct stat status {};
  if (retry([&] { return fstat(descriptor, &status); }) != 0) fail_file("look at", path, errno);
  return to_status(status);
}

std::optional<FileStatus> find_file(const std::string& path) {
  struct stat status {};
  if (retry([&] { return stat(path.c_str(), &status); }) == 0) return to_status(status);
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  fail_file("look for", path, errno);
}

bool is_link(const std::string& path) {
  struct stat status {};
  return retry([&] { return lstat(path.c_str(), &status); }) == 0 && S_ISLNK(status.st_mode);
}

bool exists(const std::string& path) { return find_file(path).has_value(); }

std::vector<std::string> list_names(const std::string& folder) {
  DIR* opened = retry([&] { return opendir(folder.c_str()); });
  if (opened == nullptr) fail_file("list", folder, errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> closer(opened, closedir);
  std::vector<std::string> names;
  for (;;) {
    const dirent* entry = retry([&] { return readdir(opened); });
    if (entry == nullptr && errno != 0) fail_file("list", folder, errno);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

AtomicFile::AtomicFile(std::string path, AtomicFileOptions options)
    : options_(options),
      path_(std::move(path)),
      target_(options.follow_links ? follow_links(path_) : path_) {
  struct stat old {};
  const auto look = [&] {
    return options_.follow_links ? stat(target_.c_str(), &old) : lstat(target_.c_str(), &old);
  };
  bool there = retry(look) == 0;
  if (!there && errno != ENOENT) fail_write("write", path_, errno);
  if (there && S_ISDIR(old.st_mode)) fail_write("write", path_, EISDIR);
  if (there && !S_ISREG(old.st_mode) && !S_ISLNK(old.st_mode)) {
    open_directly();
    return;
  }
  if (there && !may_replace(target_, old)) fail_write("replace", path_, EPERM);
  // A link has no owner or mode that a file could get.
  if (there && S_ISLNK(old.st_mode)) there = false;
  open_temporary();
  // Only root can change the owner. For other users the new file has the right owner already.
  if (there && geteuid() == 0 && fchown(descriptor_, old.st_uid, old.st_gid) != 0) {
    // Not an error: some file systems have no owners, and the contents matter more.
  }
  if (there && retry([&] { return fchmod(descriptor_, old.st_mode & 0777); }) != 0) {
    const int error = errno;
    close(descriptor_);
    unlink(temporary_.c_str());
    free_slot(slot_);
    fail_write("set the mode of", path_, error);
  }
}

void AtomicFile::open_directly() {
  // Without O_NONBLOCK, opening a pipe that nobody reads would block for ever.
  descriptor_ =
      retry([&] { return open(target_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); });
  if (descriptor_ < 0) fail_write("write", path_, errno);
  if (fcntl(descriptor_, F_SETFL, O_WRONLY) != 0) {
    const int error = errno;
    close(descriptor_);
    fail_write("write", path_, error);
  }
}

void AtomicFile::open_temporary() {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    temporary_ = (fs::path(folder_of(target_)) / temporary_name()).string();
    free_slot(slot_);
    slot_ = take_slot(temporary_);
    descriptor_ = retry([&] {
      return open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    });
    if (descriptor_ < 0 && errno == EEXIST) continue;
    if (descriptor_ < 0) {
      free_slot(slot_);
      fail_write("write", path_, errno);
    }
    // On file systems without locks this call fails, and abandoned files then stay. Between open
    // and flock another process may think that the file is abandoned and remove it. The next name
    // is then tried.
    retry([&] { return flock(descriptor_, LOCK_EX); });
    struct stat status {};
    if (retry([&] { return fstat(descriptor_, &status); }) == 0 && status.st_nlink > 0) return;
    close(descriptor_);
    unlink(temporary_.c_str());
  }
  descriptor_ = -1;
  free_slot(slot_);
  fail_write("find a free temporary name for", path_, EEXIST);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
  free_slot(slot_);
}

void remove_own_temporaries() noexcept {
  for (Slot& slot : slots) {
    if (slot.state == Slot::kInUse) unlink(slot.path);
  }
}

void AtomicFile::write(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written =
        retry([&] { return ::write(descriptor_, next, std::min<size_t>(bytes, size_t{1} << 30)); });
    if (written <= 0) fail_write("write", path_, written < 0 ? errno : ENOSPC);
    next += written;
    bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::overwrite(int64_t position, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        retry([&] { return pwrite(descriptor_, bytes.data(), bytes.size(), position); });
    if (written <= 0) fail_write("write", path_, written < 0 ? errno : ENOSPC);
    position += written;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void AtomicFile::commit() {
  // Devices and pipes cannot be synced.
  if (options_.sync && retry([&] { return fsync(descriptor_); }) != 0 &&
      !(temporary_.empty() && (errno == EINVAL || errno == EROFS || errno == ENOTSUP)))
    fail_write("sync", path_, errno);
  const int closed = close(descriptor_);
  descriptor_ = -1;
  // After EINTR the file is closed all the same. Its contents were synced before.
  if (closed != 0 && errno != EINTR) fail_write("close", path_, errno);
  if (temporary_.empty()) return;
  if (retry([&] { return rename(temporary_.c_str(), target_.c_str()); }) != 0)
    fail_write("rename a temporary file to", path_, errno);
  temporary_.clear();
  free_slot(std::exchange(slot_, -1));
  if (!options_.sync) return;
  const std::string name = folder_of(target_);
  const int folder = retry([&] { return open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  // A folder that may be written but not read cannot be opened, and some file systems cannot sync a
  // folder. Neither is an error: the file has its new name already.
  if (folder < 0 && errno == EACCES) return;
  if (folder < 0) fail_write("open the folder of", path_, errno);
  const int synced = retry([&] { return fsync(folder); }) == 0 ? 0 : errno;
  close(folder);
  if (synced != 0 && synced != EINVAL) fail_write("sync the folder of", path_, synced);
}

void write_file_atomic(const std::string& path, std::string_view contents,
                       AtomicFileOptions options) {
  AtomicFile file(path, options);
  file.write(contents);
  file.commit();
}

void remove_abandoned_files(const std::string& folder) {
  for (const std::string& name : list_names(folder)) {
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    const std::string path = (fs::path(folder) / name).string();
    const int descriptor =
        retry([&] { return open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC); });
    if (descriptor < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO)) continue;
    if (descriptor < 0) fail_file("remove the abandoned", path, errno);
    int error = 0;
    if (retry([&] { return flock(descriptor, LOCK_EX | LOCK_NB); }) != 0) {
      // A running writer holds the lock, or the file system has no locks.
      if (errno != EWOULDBLOCK && errno != EOPNOTSUPP && errno != ENOLCK) error = errno;
    } else if (unlink(path.c_str()) != 0 && errno != ENOENT) {
      error = errno;
    }
    close(descriptor);
    if (error != 0) fail_file("remove the abandoned", path, error);
  }
}

void remove_file(const std::string& path) {
  if (retry([&] { return unlink(path.c_str()); }) != 0 && errno != ENOENT)
    fail_write("remove", path, errno);
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail_write("create the folder", path, error.value());
  if (file_status(path).type != FileType::kFolder) fail_write("create the folder", path, ENOTDIR);
}

NewFolder::NewFolder(const std::string& path) {
  std::error_code error;
  fs::path folder = fs::absolute(path, error);
  if (error) fail_write("create the folder", path, error.value());
  // "name/" -> "name"
  if (!folder.has_filename()) folder = folder.parent_path();
  for (; !exists(folder.string()); folder = folder.parent_path()) made_.push_back(folder.string());
  try {
    make_folder(path);
  } catch (...) {
    remove();
    throw;
  }
}

NewFolder::~NewFolder() { remove(); }

void NewFolder::remove() {
  // Errors are ignored: a folder that is not empty stays.
  std::error_code error;
  for (const std::string& folder : made_) fs::remove(folder, error);
}

}  // namespace ddpm
