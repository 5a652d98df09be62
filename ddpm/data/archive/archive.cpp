// libarchive lists the entries and says where the contents of each begin. A tar and a stored entry
// of a zip are read from there as they are; a deflated one is raw deflate (RFC 1951).
#include "ddpm/data/archive/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <locale.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <system_error>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/retry.h"
#include "ddpm/data/archive/entry_name.h"
#include "ddpm/data/picture_store.h"

namespace ddpm {
namespace {

constexpr size_t kBlock = size_t{1} << 16;
// Files in compressed archives larger than this are left out before their size is believed.
constexpr int64_t kMostHeld = int64_t{1} << 31;

// libarchive converts names to the encoding of the locale. All bytes of a name must survive that.
class Utf8Names {
 public:
  Utf8Names() : utf8_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (utf8_ != nullptr) before_ = uselocale(utf8_);
  }
  ~Utf8Names() {
    if (utf8_ == nullptr) return;
    uselocale(before_);
    freelocale(utf8_);
  }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;

 private:
  locale_t utf8_;
  locale_t before_ = nullptr;
};

// Enables the compressions that libarchive undoes in this process. It would run a program for the
// others, and for those of these that it was built without: that is what ARCHIVE_WARN says.
void support_filters(struct archive* reader) {
  constexpr int (*kFilters[])(struct archive*) = {
      archive_read_support_filter_none,  archive_read_support_filter_gzip,
      archive_read_support_filter_bzip2, archive_read_support_filter_xz,
      archive_read_support_filter_lzma,  archive_read_support_filter_zstd,
      archive_read_support_filter_lz4};
  for (const auto support : kFilters) {
    // What was enabled cannot be disabled, so another reader is asked first.
    struct archive* probe = archive_read_new();
    if (probe == nullptr) fail_system("data", "no memory to read an archive", ENOMEM);
    const int result = support(probe);
    archive_read_free(probe);
    if (result == ARCHIVE_OK) support(reader);
  }
}

}  // namespace

struct Archive::Place {
  enum class Form { kStored, kDeflated, kHeld };
  Form form = Form::kStored;
  // Of the contents in the archive.
  int64_t position = 0;
  // If they are held.
  std::string held;
};

// One pass over the archive.
class Archive::Listing {
 public:
  Listing(Archive& archive, size_t start_bytes, const Wanted& wanted)
      : archive_(archive), start_bytes_(start_bytes), wanted_(wanted), reader_(archive_read_new()) {
    if (reader_ == nullptr) fail_system("data", "no memory to read an archive", ENOMEM);
    support_filters(reader_);
    archive_read_support_format_tar(reader_);
    archive_read_support_format_zip(reader_);
    // Else a header that was overwritten with zeros would look like the end.
    archive_read_set_format_option(reader_, "tar", "read_concatenated_archives", "1");
  }
  ~Listing() { archive_read_free(reader_); }
  Listing(const Listing&) = delete;
  Listing& operator=(const Listing&) = delete;

  void run() {
    const Utf8Names names;
    int result = archive_read_open_fd(reader_, archive_.descriptor_, kBlock);
    bool any = false;
    // ARCHIVE_RETRY would skip damaged headers, and with them files.
    while (result == ARCHIVE_OK || result == ARCHIVE_WARN) {
      archive_entry* entry = nullptr;
      result = archive_read_next_header(reader_, &entry);
      if (result != ARCHIVE_OK && result != ARCHIVE_WARN) continue;
      any = true;
      one(entry);
    }
    if (result != ARCHIVE_EOF) {
      if (!any) {
        fail("data", fmt::format("{} is neither a .zip nor a .tar archive, or is damaged: {}",
                                 archive_.path_, reason()));
      }
      leave_out("", fmt::format("it is damaged; files may be missing from here on: {}", reason()));
    }
    for (auto& [name, found] : found_) {
      archive_.entries_.push_back({name, found.bytes});
      archive_.places_.push_back(std::move(found.place));
    }
  }

 private:
  struct Found {
    int64_t bytes = 0;
    Place place;
  };

  std::string reason() const {
    const char* text = archive_error_string(reader_);
    if (text == nullptr) return "no reason is known";
    // Some end with a newline.
    const std::string_view line = text;
    return std::string(line.substr(0, line.find('\n')));
  }
  void leave_out(const std::string& name, const std::string& why) {
    archive_.problems_.push_back({name, why});
  }

  void one(archive_entry* entry) {
    const char* path = archive_entry_pathname(entry);
    if (path == nullptr) return leave_out("", "it holds a file whose name cannot be read");
    const std::string name = tidy_name(path);
    if (archive_entry_filetype(entry) == AE_IFDIR || is_hidden(name)) return;
    // Before anything is read of it.
    const bool is_link =
        archive_entry_hardlink(entry) != nullptr || archive_entry_filetype(entry) == AE_IFLNK;
    if (is_link || archive_entry_filetype(entry) != AE_IFREG) {
      if (wanted_(name, "")) leave_out(name, is_link ? "it is a link" : "it is not a regular file");
      return;
    }
    if (archive_entry_is_encrypted(entry) != 0) {
      if (wanted_(name, "")) leave_out(name, "it is encrypted");
      return;
    }
    Found found{.bytes = archive_entry_size(entry), .place = place_of(entry)};
    // Reading moves on, so the place comes first.
    std::string start(start_bytes_, '\0');
    const la_ssize_t got = archive_read_data(reader_, start.data(), start.size());
    start.resize(got > 0 ? static_cast<size_t>(got) : 0);
    if (!wanted_(name, start)) return;
    if (!stays_inside(name)) return leave_out(name, "its name leads out of the archive");
    if (archive_entry_size_is_set(entry) == 0 || found.bytes < 0)
      return leave_out(name, "its size is not known");
    if (got < 0) return leave_out(name, fmt::format("it is damaged: {}", reason()));
    if (found.place.form == Place::Form::kHeld && !hold(std::move(start), name, found)) return;
    // As in a tar that was appended to, a later file replaces an earlier one.
    const auto [earlier, added] = found_.insert_or_assign(name, std::move(found));
    if (!added) leave_out(name, "a later file of the archive has the same name");
  }

  Place place_of(archive_entry* entry) const {
    Place place{.form = Place::Form::kHeld, .position = archive_filter_bytes(reader_, 0)};
    const bool whole = archive_filter_code(reader_, 0) == ARCHIVE_FILTER_NONE &&
                       archive_entry_sparse_count(entry) == 0;
    if (!whole) return place;
    if ((archive_format(reader_) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR) {
      place.form = Place::Form::kStored;
    } else {
      const std::string_view name = archive_format_name(reader_);
      if (name.ends_with("(uncompressed)")) place.form = Place::Form::kStored;
      if (name.ends_with("(deflation)")) place.form = Place::Form::kDeflated;
    }
    return place;
  }

  // Reads the rest of an entry. Returns whether it is whole.
  bool hold(std::string contents, const std::string& name, Found& found) {
    if (found.bytes > kMostHeld) {
      leave_out(name, fmt::format("it has {} bytes; at most {} are held", found.bytes, kMostHeld));
      return false;
    }
    while (static_cast<int64_t>(contents.size()) < found.bytes) {
      const size_t before = contents.size();
      contents.resize(before + kBlock);
      const la_ssize_t got = archive_read_data(reader_, contents.data() + before, kBlock);
      contents.resize(before + static_cast<size_t>(std::max<la_ssize_t>(got, 0)));
      if (got <= 0) break;
      if (static_cast<int64_t>(held_ + contents.size()) > checked_) {
        checked_ += kCheckEvery;
        require_memory(fmt::format("{} is compressed as a whole, so its pictures are held in "
                                   "memory (decompressed, it would be read in place); the next "
                                   "part",
                                   archive_.path_),
                       kCheckEvery);
      }
    }
    if (static_cast<int64_t>(contents.size()) != found.bytes) {
      leave_out(name, "it is cut short or damaged");
      return false;
    }
    held_ += contents.size();
    contents.shrink_to_fit();
    found.place.held = std::move(contents);
    return true;
  }

  static constexpr int64_t kCheckEvery = int64_t{1} << 26;

  Archive& archive_;
  const size_t start_bytes_;
  const Wanted& wanted_;
  struct archive* reader_;
  std::map<std::string, Found> found_;
  // The bytes that are held, and for which it was checked that there is memory.
  size_t held_ = 0;
  int64_t checked_ = 0;
};

Archive::Archive(std::string path, size_t start_bytes, const Wanted& wanted)
    : path_(std::move(path)) {
  descriptor_ = retry([&] { return open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (descriptor_ < 0) {
    fail_system("data",
                fmt::format("cannot read {}: {}", path_, std::generic_category().message(errno)),
                errno);
  }
  try {
    const FileStatus status = file_status(descriptor_, path_);
    if (status.type != FileType::kRegular)
      fail("data", fmt::format("{} is not a regular file", path_));
    bytes_ = status.bytes;
    modified_ns_ = status.modified_ns;
    Listing(*this, start_bytes, wanted).run();
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

Archive::~Archive() { close(descriptor_); }

namespace {

// Reads `most` bytes from a position, or fewer if the file ends.
size_t read_at(int descriptor, const std::string& path, int64_t position, char* to, size_t most) {
  size_t done = 0;
  while (done < most) {
    const ssize_t got = retry([&] {
      return pread(descriptor, to + done, most - done, position + static_cast<int64_t>(done));
    });
    if (got < 0) {
      fail_system("data",
                  fmt::format("cannot read {}: {}", path, std::generic_category().message(errno)),
                  errno);
    }
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

class Inflate {
 public:
  Inflate() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK)
      fail_system("data", "no memory to decompress", ENOMEM);
  }
  ~Inflate() { inflateEnd(&stream_); }
  Inflate(const Inflate&) = delete;
  Inflate& operator=(const Inflate&) = delete;
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_ = {};
};

[[noreturn]] void fail_damaged() { fail("data", "it is cut short or damaged in the archive"); }

}  // namespace

std::string Archive::read(int64_t i, int64_t most_bytes) const {
  const int64_t bytes = entries_[static_cast<size_t>(i)].bytes;
  if (bytes > most_bytes) {
    fail("data",
         fmt::format("the file has {} bytes, more than the {} that are read", bytes, most_bytes));
  }
  return contents(i, bytes);
}

std::string Archive::read_start(int64_t i, int64_t most_bytes) const {
  return contents(i, std::min(entries_[static_cast<size_t>(i)].bytes, most_bytes));
}

std::string Archive::contents(int64_t i, int64_t wanted) const {
  const int64_t bytes = entries_[static_cast<size_t>(i)].bytes;
  const Place& place = places_[static_cast<size_t>(i)];
  const auto size = static_cast<size_t>(wanted);
  if (place.form == Place::Form::kHeld) return place.held.substr(0, size);
  // A declared size that cannot be true must not take memory. Deflate makes at most 1032 bytes of
  // one.
  constexpr int64_t kMostInflated = 1032;
  const int64_t left = std::max<int64_t>(bytes_ - place.position, 0);
  const bool stored = place.form == Place::Form::kStored;
  if ((stored ? bytes : bytes / kMostInflated) > left) fail_damaged();
  return stored ? stored_contents(place, size) : inflated_contents(place, size, wanted == bytes);
}

std::string Archive::stored_contents(const Place& place, size_t size) const {
  std::string contents(size, '\0');
  if (read_at(descriptor_, path_, place.position, contents.data(), size) < size) fail_damaged();
  return contents;
}

std::string Archive::inflated_contents(const Place& place, size_t size, bool whole) const {
  std::string contents;
  contents.reserve(size);
  std::string block(std::min(kBlock, size + kBlock / 16), '\0'), out(kBlock, '\0');
  int64_t position = place.position;
  Inflate inflate_stream;
  z_stream& stream = inflate_stream.stream();
  for (int result = Z_OK; result != Z_STREAM_END && (whole || contents.size() < size);) {
    if (stream.avail_in == 0) {
      const size_t got = read_at(descriptor_, path_, position, block.data(), block.size());
      if (got == 0) fail_damaged();
      position += static_cast<int64_t>(got);
      stream.next_in = reinterpret_cast<Bytef*>(block.data());
      stream.avail_in = static_cast<uInt>(got);
    }
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    result = inflate(&stream, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) fail_system("data", "no memory to decompress", ENOMEM);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) fail_damaged();
    const size_t made = out.size() - stream.avail_out, room = size - contents.size();
    if (made > room && whole) fail_damaged();
    contents.append(out, 0, std::min(made, room));
  }
  if (contents.size() != size) fail_damaged();
  return contents;
}

}  // namespace ddpm
