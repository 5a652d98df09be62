// Reads the files in a .zip or .tar archive where they lie. Nothing is extracted, so no name in an
// archive ever reaches the file system. Private to data.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

struct ArchiveEntry {
  // Without parts that are empty or ".". May hold any bytes except 0.
  std::string name;
  // Of the contents.
  int64_t bytes = 0;
};

// An entry that cannot be read, and why.
struct ArchiveProblem {
  // Empty if it is about the archive.
  std::string name;
  std::string reason;
};

// Entries of a .tar, and those of a .zip that are stored or deflated, are read from the archive
// when they are needed, in any order. Those of a compressed .tar can only be read one after the
// other, so they are held in memory, as are those of a .zip in other compressions.
class Archive {
 public:
  // Asked about each file. start: its first bytes, at most start_bytes.
  using Wanted = std::function<bool(const std::string& name, std::string_view start)>;

  // Lists the archive. Only wanted files become entries. Throws SystemError if the archive cannot
  // be read or what must be held does not fit in memory, and Error if it is neither a .zip nor a
  // .tar. Damage behind the first file is a problem, and ends the list.
  Archive(std::string path, size_t start_bytes, const Wanted& wanted);
  ~Archive();
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  const std::string& path() const { return path_; }
  // In the order of their names, which are all different.
  const std::vector<ArchiveEntry>& entries() const { return entries_; }
  const std::vector<ArchiveProblem>& problems() const { return problems_; }
  // When the archive was changed, in nanoseconds since 1970.
  int64_t modified_ns() const { return modified_ns_; }

  // The contents of entry i. Thread-safe. Throws Error if they are damaged or have more than
  // most_bytes bytes. The caller sees to it that there is memory for a large entry.
  std::string read(int64_t i, int64_t most_bytes) const;
  // The first bytes of entry i, at most most_bytes. Otherwise as read().
  std::string read_start(int64_t i, int64_t most_bytes) const;

 private:
  class Listing;
  struct Place;

  // The first `wanted` bytes of entry i.
  std::string contents(int64_t i, int64_t wanted) const;
  std::string stored_contents(const Place& place, size_t size) const;
  // whole: the contents must end after `size` bytes.
  std::string inflated_contents(const Place& place, size_t size, bool whole) const;

  std::string path_;
  int descriptor_ = -1;
  int64_t bytes_ = 0;
  int64_t modified_ns_ = 0;
  std::vector<ArchiveEntry> entries_;
  std::vector<Place> places_;
  std::vector<ArchiveProblem> problems_;
};

}  // namespace ddpm
