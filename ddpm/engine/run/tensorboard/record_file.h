// Files of records in the framing of TensorFlow (TFRecord): for each record its length, a checksum
// of the length, the bytes, and a checksum of the bytes. Private to engine/run/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ddpm {

// CRC-32C (Castagnoli; RFC 3720, appendix B.4) of the bytes.
uint32_t crc32c(std::string_view bytes);
// The form in which the framing stores it: rotated by 15 bits, plus a constant, so that a record
// may itself hold checksums.
uint32_t masked_crc32c(std::string_view bytes);

// A record in its frame: length (uint64), masked checksum of these 8 bytes (uint32), the bytes,
// their masked checksum (uint32). All little-endian.
std::string framed(std::string_view record);

// A new file to which records are appended.
class RecordFile {
 public:
  // Throws SystemError if the file exists or cannot be made.
  explicit RecordFile(std::string path);
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  // Throws SystemError, for instance on a full disk. The file then ends with the record before.
  void append(std::string_view record);
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

}  // namespace ddpm
