// A file is opened only once. Its status and contents come from the same descriptor, so the size,
// the time and the hash in a fingerprint belong to the bytes that were decoded.
#include "ddpm/data/source_files.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>

#include "ddpm/base/hash.h"
#include "ddpm/base/retry.h"

namespace ddpm {
namespace {

[[noreturn]] void fail_access(const char* doing, const std::string& path, int code) {
  fail_system("data",
              fmt::format("cannot {} {}: {}", doing, path, std::generic_category().message(code)),
              code);
}

class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : path_(path) {
    // O_NONBLOCK: if a pipe has replaced the file since, open() must not wait for a writer.
    descriptor_ = retry([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
    if (descriptor_ < 0) fail_access("read", path, errno);
  }
  ~OpenFile() { close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  FileStatus status() const {
    const FileStatus result = file_status(descriptor_, path_);
    if (result.type == FileType::kFolder) fail_access("read", path_, EISDIR);
    if (result.type != FileType::kRegular)
      fail("data", fmt::format("{} is not a regular file", path_));
    return result;
  }

  // Reads the next `most` bytes, or fewer if the file ends. `expected` is their likely number.
  std::string read(int64_t most, int64_t expected) const {
    constexpr int64_t kPiece = 1 << 16, kMost = 1 << 30;
    std::string bytes;
    bytes.reserve(static_cast<size_t>(expected));
    while (most > 0) {
      const auto before = bytes.size();
      const int64_t left = expected - static_cast<int64_t>(before);
      const int64_t likely = left > 0 ? left : kPiece;
      bytes.resize(before + static_cast<size_t>(std::min({most, likely, kMost})));
      const ssize_t got =
          retry([&] { return ::read(descriptor_, bytes.data() + before, bytes.size() - before); });
      if (got < 0) fail_access("read", path_, errno);
      bytes.resize(before + static_cast<size_t>(got));
      if (got == 0) break;
      most -= got;
    }
    return bytes;
  }

 private:
  const std::string& path_;
  int descriptor_ = -1;
};

}  // namespace

std::string join_path(std::string_view folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  return fmt::format("{}{}{}", folder, folder.ends_with('/') ? "" : "/", name);
}

std::string base_name(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string read_start(const std::string& path, size_t bytes) {
  const OpenFile file(path);
  file.status();
  return file.read(static_cast<int64_t>(bytes), static_cast<int64_t>(bytes));
}

std::string reason_to_skip(const Error& error) {
  if (const auto* system = dynamic_cast<const SystemError*>(&error)) {
    if (is_transient(system->code())) throw;
    return fmt::format("cannot be read: {}", std::generic_category().message(system->code()));
  }
  const std::string text = error.what();
  // The end of "[where] ".
  const size_t end = text.find("] ");
  return text.starts_with("[") && end != std::string::npos ? text.substr(end + 2) : text;
}

FileReader::FileReader(const DataFingerprint* known) {
  if (known == nullptr) return;
  for (const SourceFile& file : known->files) known_.emplace(file.name, file);
}

FileReader::Contents FileReader::read(const std::string& path, const std::string& name,
                                      int64_t most_bytes) const {
  const OpenFile open(path);
  const FileStatus status = open.status();
  const auto too_large = [&](int64_t bytes) {
    fail("data",
         fmt::format("the file has {} bytes, more than the {} that are read", bytes, most_bytes));
  };
  if (status.bytes > most_bytes) too_large(status.bytes);
  Contents contents;
  // Tries to read more than the size from status(), because a file that grows must not be cut
  // there.
  contents.bytes = open.read(most_bytes + 1, status.bytes + 1);
  const auto size = static_cast<int64_t>(contents.bytes.size());
  if (size > most_bytes) too_large(size);
  contents.file = describe(name, status.modified_ns, contents.bytes);
  return contents;
}

SourceFile FileReader::describe(const std::string& name, int64_t modified_ns,
                                std::string_view bytes) const {
  SourceFile file{.name = name,
                  .bytes = static_cast<int64_t>(bytes.size()),
                  .modified_ns = modified_ns,
                  .hash = {}};
  const auto known = known_.find(name);
  const bool same = known != known_.end() && known->second.bytes == file.bytes &&
                    known->second.modified_ns == modified_ns;
  file.hash = same ? known->second.hash : hash_hex(bytes);
  return file;
}

bool is_run_directory(const std::string& path) {
  const auto holds = [&](const char* name, FileType type) {
    try {
      const std::optional<FileStatus> found = find_file(join_path(path, name));
      return found && found->type == type;
    } catch (const SystemError& error) {
      if (is_transient(error.code())) throw;
      return false;
    }
  };
  const bool checkpoints = holds("checkpoints", FileType::kFolder);
  const bool metrics = holds("metrics.jsonl", FileType::kRegular);
  // A run that has lost one of its files still counts as a run.
  const int others =
      holds("config.json", FileType::kRegular) + holds("model.safetensors", FileType::kRegular);
  return (checkpoints && metrics) || ((checkpoints || metrics) && others > 0);
}

}  // namespace ddpm
