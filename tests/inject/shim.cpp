// A library for LD_PRELOAD that causes a fault at one file system call of a program. Calls on paths
// below the given folders are counted from 1. The k-th fails, or handles fewer bytes, or the
// process is killed at it. Other calls are passed on as they are.
//
//   DDPM_INJECT_PATHS  absolute folders without symbolic links, separated by colons
//   DDPM_INJECT_LOG    a file that gets a line "number <tab> call <tab> path" for each counted call
//   DDPM_INJECT_AT     k
//   DDPM_INJECT_HOW    EIO, ENOSPC, EMFILE, EACCES, EINTR: the call does nothing and gives this
//   error
//                      kill-before, kill-after: SIGKILL before or after the whole call
//                      kill-half: SIGKILL after half of the bytes of a write
//                      short: half of the bytes of a read or write
//                      full-disk: from k on, everything that needs space fails with ENOSPC
//                      full-for-a-while: the same, for 60 calls
//
// Calls inside glibc cannot be replaced, so the functions of FILE and DIR are replaced too. Symbols
// get their names by asm labels, because a second declaration would have to repeat the attributes
// that glibc's own declarations have.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <string>

#include "tests/inject/verdict.h"

namespace {

using namespace ddpm::inject;

// `act(bytes)` makes the real call with that many bytes. Calls that move no bytes pass 0 and ignore
// the argument.
template <class Result, class Act>
Result inject(const char* name, const std::string& path, Need need, Result failed, size_t bytes,
              const Act& act) {
  switch (next(name, path, need)) {
    case How::kNone:
      break;
    case How::kFail:
      errno = error_to_fail_with();
      return failed;
    case How::kFullDisk:
      errno = ENOSPC;
      return failed;
    case How::kKillBefore:
      die();
    case How::kKillAfter:
      act(bytes);
      die();
    case How::kKillHalf:
      act(bytes / 2);
      die();
    case How::kShort:
      return act(std::max<size_t>(bytes / 2, std::min<size_t>(bytes, 1)));
  }
  return act(bytes);
}

template <class Result, class Act>
Result inject(const char* name, const std::string& path, Need need, Result failed, const Act& act) {
  return inject(name, path, need, failed, 0, [&](size_t) { return act(); });
}

// Sets the flag that ferror() reads in glibc.
void mark_failed(FILE* file) { file->_flags |= 0x20; }

// Writes half of what the file still holds in memory to the disk.
void write_half(FILE* file) {
  syscall(SYS_write, fileno(file), file->_IO_write_base, __fpending(file) / 2);
}

// The real function. It is looked up at each call, because other libraries may open files before
// the objects of this file are initialised.
template <class Function>
struct Real {
  const char* name;
  template <class... Arguments>
  auto operator()(Arguments... arguments) const {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name))(arguments...);
  }
};

}  // namespace

// Declares the replacement of a function and opens its body; `real` is the function itself.
#define HOOK(result, name, parameters)                                                            \
  extern "C" __attribute__((visibility("default"))) result hook_##name parameters __asm__(#name); \
  namespace {                                                                                     \
  constexpr Real<result parameters> real_##name{#name};                                           \
  }                                                                                               \
  result hook_##name parameters

// Opening. It is logged as "create" if it may create a file.

namespace {
template <class Act>
int open_with(int folder, const char* path, int flags, const Act& act) {
  const bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  return inject(creates ? "create" : "open", path_of(folder, path),
                creates ? Need::kSpace : Need::kNothing, -1, act);
}

mode_t mode_of(int flags, va_list more) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;
}

template <class Act>
FILE* fopen_with(const char* path, const char* mode, const Act& act) {
  const bool creates = mode[0] != 'r';
  return inject(creates ? "fopen-create" : "fopen", path_of(path),
                creates ? Need::kSpace : Need::kNothing, static_cast<FILE*>(nullptr), act);
}
}  // namespace

#define HOOK_OPEN(name)                                                                      \
  HOOK(int, name, (const char* path, int flags, ...)) {                                      \
    va_list more;                                                                            \
    va_start(more, flags);                                                                   \
    const mode_t mode = mode_of(flags, more);                                                \
    va_end(more);                                                                            \
    return open_with(AT_FDCWD, path, flags, [&] { return real_##name(path, flags, mode); }); \
  }
HOOK_OPEN(open)
HOOK_OPEN(open64)

#define HOOK_OPENAT(name)                                                                          \
  HOOK(int, name, (int folder, const char* path, int flags, ...)) {                                \
    va_list more;                                                                                  \
    va_start(more, flags);                                                                         \
    const mode_t mode = mode_of(flags, more);                                                      \
    va_end(more);                                                                                  \
    return open_with(folder, path, flags, [&] { return real_##name(folder, path, flags, mode); }); \
  }
HOOK_OPENAT(openat)
HOOK_OPENAT(openat64)

#define HOOK_CREAT(name)                                                                \
  HOOK(int, name, (const char* path, mode_t mode)) {                                    \
    return open_with(AT_FDCWD, path, O_CREAT, [&] { return real_##name(path, mode); }); \
  }
HOOK_CREAT(creat)
HOOK_CREAT(creat64)

#define HOOK_FOPEN(name)                                                    \
  HOOK(FILE*, name, (const char* path, const char* mode)) {                 \
    return fopen_with(path, mode, [&] { return real_##name(path, mode); }); \
  }
HOOK_FOPEN(fopen)
HOOK_FOPEN(fopen64)

HOOK(DIR*, opendir, (const char* path)) {
  return inject("opendir", path_of(path), Need::kNothing, static_cast<DIR*>(nullptr),
                [&] { return real_opendir(path); });
}
HOOK(DIR*, fdopendir, (int descriptor)) {
  return inject("fdopendir", path_of(descriptor), Need::kNothing, static_cast<DIR*>(nullptr),
                [&] { return real_fdopendir(descriptor); });
}

// Reading and writing.

#define HOOK_TRANSFER(name, need, data_type)                                         \
  HOOK(ssize_t, name, (int descriptor, data_type data, size_t bytes)) {              \
    return inject(#name, path_of(descriptor), need, ssize_t{-1}, bytes,              \
                  [&](size_t some) { return real_##name(descriptor, data, some); }); \
  }
HOOK_TRANSFER(read, Need::kNothing, void*)
HOOK_TRANSFER(write, Need::kSpace, const void*)

#define HOOK_TRANSFER_AT(name, need, data_type)                                          \
  HOOK(ssize_t, name, (int descriptor, data_type data, size_t bytes, off_t at)) {        \
    return inject(#name, path_of(descriptor), need, ssize_t{-1}, bytes,                  \
                  [&](size_t some) { return real_##name(descriptor, data, some, at); }); \
  }
HOOK_TRANSFER_AT(pread, Need::kNothing, void*)
HOOK_TRANSFER_AT(pread64, Need::kNothing, void*)
HOOK_TRANSFER_AT(pwrite, Need::kSpace, const void*)
HOOK_TRANSFER_AT(pwrite64, Need::kSpace, const void*)

// `some` counts parts here, not bytes: a short call moves fewer parts, but each of them whole.
#define HOOK_VECTOR(name, need)                                                               \
  HOOK(ssize_t, name, (int descriptor, const iovec* parts, int count)) {                      \
    return inject(                                                                            \
        #name, path_of(descriptor), need, ssize_t{-1}, static_cast<size_t>(count),            \
        [&](size_t some) { return real_##name(descriptor, parts, static_cast<int>(some)); }); \
  }
HOOK_VECTOR(readv, Need::kNothing)
HOOK_VECTOR(writev, Need::kSpace)

HOOK(size_t, fread, (void* data, size_t size, size_t count, FILE* file)) {
  const auto none = static_cast<size_t>(-1);
  const size_t got = inject("fread", path_of(file), Need::kNothing, none,
                            [&] { return real_fread(data, size, count, file); });
  if (got != none) return got;
  mark_failed(file);
  return 0;
}
HOOK(size_t, fwrite, (const void* data, size_t size, size_t count, FILE* file)) {
  const auto none = static_cast<size_t>(-1);
  const size_t put = inject("fwrite", path_of(file), Need::kSpace, none, count,
                            [&](size_t some) { return real_fwrite(data, size, some, file); });
  if (put != none) return put;
  mark_failed(file);
  return 0;
}

// What a failed flush should have written is lost, as on a full disk.
namespace {
template <class Act>
int flush_with(const char* name, FILE* file, const Act& act) {
  switch (next(name, path_of(file), __fpending(file) > 0 ? Need::kSpace : Need::kNothing)) {
    case How::kFail:
      __fpurge(file);
      return error_to_fail_with();
    case How::kFullDisk:
      __fpurge(file);
      return ENOSPC;
    case How::kKillBefore:
      die();
    case How::kKillHalf:
      write_half(file);
      die();
    case How::kKillAfter:
      act();
      die();
    case How::kNone:
    case How::kShort:
      break;
  }
  return 0;
}
}  // namespace

HOOK(int, fflush, (FILE * file)) {
  if (file == nullptr) return real_fflush(file);
  const int error = flush_with("fflush", file, [&] { real_fflush(file); });
  if (error == 0) return real_fflush(file);
  mark_failed(file);
  errno = error;
  return EOF;
}
HOOK(int, fclose, (FILE * file)) {
  const int error = flush_with("fclose", file, [&] { real_fclose(file); });
  const int closed = real_fclose(file);
  if (error == 0) return closed;
  errno = error;
  return EOF;
}
// Closes the descriptor even if it reports a failure, as Linux does.
HOOK(int, close, (int descriptor)) {
  constexpr int kFailed = -2;
  const int closed = inject("close", path_of(descriptor), Need::kNothing, kFailed,
                            [&] { return real_close(descriptor); });
  if (closed != kFailed) return closed;
  const int error = errno;
  real_close(descriptor);
  errno = error;
  return -1;
}

// All other functions have the same form: parameters, the path, the call.

#define HOOK_CALL(result, name, parameters, path, need, failed, arguments) \
  HOOK(result, name, parameters) {                                         \
    return inject(#name, path, need, static_cast<result>(failed),          \
                  [&] { return real_##name arguments; });                  \
  }
#define HOOK_READS(name, parameters, path, arguments) \
  HOOK_CALL(int, name, parameters, path, Need::kNothing, -1, arguments)
#define HOOK_WRITES(name, parameters, path, arguments) \
  HOOK_CALL(int, name, parameters, path, Need::kSpace, -1, arguments)

HOOK_CALL(dirent*, readdir, (DIR * folder), path_of(folder), Need::kNothing, nullptr, (folder))
HOOK_CALL(dirent64*, readdir64, (DIR * folder), path_of(folder), Need::kNothing, nullptr, (folder))
HOOK_READS(stat, (const char* path, struct stat* to), path_of(path), (path, to))
HOOK_READS(stat64, (const char* path, struct stat64* to), path_of(path), (path, to))
HOOK_READS(lstat, (const char* path, struct stat* to), path_of(path), (path, to))
HOOK_READS(lstat64, (const char* path, struct stat64* to), path_of(path), (path, to))
HOOK_READS(fstat, (int descriptor, struct stat* to), path_of(descriptor), (descriptor, to))
HOOK_READS(fstat64, (int descriptor, struct stat64* to), path_of(descriptor), (descriptor, to))
HOOK_READS(fstatat, (int folder, const char* path, struct stat* to, int flags),
           path_of(folder, path), (folder, path, to, flags))
HOOK_READS(fstatat64, (int folder, const char* path, struct stat64* to, int flags),
           path_of(folder, path), (folder, path, to, flags))
HOOK_READS(statx, (int folder, const char* path, int flags, unsigned mask, struct statx* to),
           path_of(folder, path), (folder, path, flags, mask, to))
HOOK_READS(statvfs, (const char* path, struct statvfs* to), path_of(path), (path, to))
HOOK_READS(fstatvfs, (int descriptor, struct statvfs* to), path_of(descriptor), (descriptor, to))
HOOK_READS(access, (const char* path, int mode), path_of(path), (path, mode))
HOOK_READS(faccessat, (int folder, const char* path, int mode, int flags), path_of(folder, path),
           (folder, path, mode, flags))
HOOK_CALL(ssize_t, readlink, (const char* path, char* to, size_t bytes), path_of(path),
          Need::kNothing, -1, (path, to, bytes))
HOOK_CALL(ssize_t, readlinkat, (int folder, const char* path, char* to, size_t bytes),
          path_of(folder, path), Need::kNothing, -1, (folder, path, to, bytes))
HOOK_CALL(char*, realpath, (const char* path, char* to), path_of(path), Need::kNothing, nullptr,
          (path, to))
HOOK_CALL(void*, mmap, (void* at, size_t bytes, int access, int flags, int descriptor, off_t from),
          descriptor < 0 ? std::string() : path_of(descriptor), Need::kNothing, MAP_FAILED,
          (at, bytes, access, flags, descriptor, from))

HOOK_WRITES(fsync, (int descriptor), path_of(descriptor), (descriptor))
HOOK_WRITES(fdatasync, (int descriptor), path_of(descriptor), (descriptor))
HOOK_READS(ftruncate, (int descriptor, off_t bytes), path_of(descriptor), (descriptor, bytes))
HOOK_READS(ftruncate64, (int descriptor, off_t bytes), path_of(descriptor), (descriptor, bytes))
HOOK_READS(truncate, (const char* path, off_t bytes), path_of(path), (path, bytes))
HOOK_WRITES(fallocate, (int descriptor, int mode, off_t from, off_t bytes), path_of(descriptor),
            (descriptor, mode, from, bytes))
HOOK_CALL(ssize_t, sendfile, (int to, int from, off_t* at, size_t bytes), path_of(to), Need::kSpace,
          -1, (to, from, at, bytes))
HOOK_CALL(ssize_t, copy_file_range,
          (int from, off_t* from_at, int to, off_t* to_at, size_t bytes, unsigned flags),
          path_of(to), Need::kSpace, -1, (from, from_at, to, to_at, bytes, flags))
HOOK_READS(chmod, (const char* path, mode_t mode), path_of(path), (path, mode))
HOOK_READS(fchmod, (int descriptor, mode_t mode), path_of(descriptor), (descriptor, mode))
HOOK_READS(fchmodat, (int folder, const char* path, mode_t mode, int flags), path_of(folder, path),
           (folder, path, mode, flags))
HOOK_READS(fchown, (int descriptor, uid_t user, gid_t group), path_of(descriptor),
           (descriptor, user, group))
HOOK_READS(utimensat, (int folder, const char* path, const timespec* times, int flags),
           path_of(folder, path), (folder, path, times, flags))
HOOK_READS(futimens, (int descriptor, const timespec* times), path_of(descriptor),
           (descriptor, times))
HOOK_WRITES(mkdir, (const char* path, mode_t mode), path_of(path), (path, mode))
HOOK_WRITES(mkdirat, (int folder, const char* path, mode_t mode), path_of(folder, path),
            (folder, path, mode))
HOOK_WRITES(rename, (const char* from, const char* to), path_of(to), (from, to))
HOOK_WRITES(renameat, (int from_folder, const char* from, int to_folder, const char* to),
            path_of(to_folder, to), (from_folder, from, to_folder, to))
HOOK_WRITES(renameat2,
            (int from_folder, const char* from, int to_folder, const char* to, unsigned flags),
            path_of(to_folder, to), (from_folder, from, to_folder, to, flags))
HOOK_WRITES(link, (const char* from, const char* to), path_of(to), (from, to))
HOOK_WRITES(linkat, (int from_folder, const char* from, int to_folder, const char* to, int flags),
            path_of(to_folder, to), (from_folder, from, to_folder, to, flags))
HOOK_WRITES(symlink, (const char* target, const char* path), path_of(path), (target, path))
HOOK_WRITES(symlinkat, (const char* target, int folder, const char* path), path_of(folder, path),
            (target, folder, path))
HOOK_READS(unlink, (const char* path), path_of(path), (path))
HOOK_READS(unlinkat, (int folder, const char* path, int flags), path_of(folder, path),
           (folder, path, flags))
HOOK_READS(remove, (const char* path), path_of(path), (path))
HOOK_READS(rmdir, (const char* path), path_of(path), (path))

// Locks.

HOOK_READS(flock, (int descriptor, int operation), path_of(descriptor), (descriptor, operation))
HOOK_READS(lockf, (int descriptor, int operation, off_t bytes), path_of(descriptor),
           (descriptor, operation, bytes))
#define HOOK_FCNTL(name)                                                                       \
  HOOK(int, name, (int descriptor, int command, ...)) {                                        \
    va_list more;                                                                              \
    va_start(more, command);                                                                   \
    void* const argument = va_arg(more, void*);                                                \
    va_end(more);                                                                              \
    const auto act = [&] { return real_##name(descriptor, command, argument); };               \
    const bool locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK ||  \
                       command == F_OFD_SETLKW;                                                \
    return locks ? inject("fcntl-lock", path_of(descriptor), Need::kNothing, -1, act) : act(); \
  }
HOOK_FCNTL(fcntl)
HOOK_FCNTL(fcntl64)
